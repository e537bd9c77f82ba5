#include "libradgpt/train/options.h"

#include <algorithm>
#include <optional>

#include "libradgpt/train/assembly.h"

namespace radgpt {

namespace {

/// The files of one list of a source, all of one split (none: by patient).
void add_files(CorpusOptions& options, const Recipe& recipe, const SourceRecipe& source,
               const std::vector<std::string>& files, std::optional<Split> split) {
  for (const std::string& path : files) {
    const int max_bad_lines = static_cast<int>(recipe.data.max_bad_lines);
    if (source.layout != LayoutChoice::kReports) {
      options.conversations.push_back({path, split, max_bad_lines});
      continue;
    }
    ReportSource reports;
    reports.path = path;
    reports.id_field = source.id_field;
    reports.patient_field = recipe.data.group_by == GroupChoice::kNone ? "" : source.patient_field;
    reports.centre = source.centre;
    reports.centre_field = source.centre_field;
    reports.modality = source.modality;
    reports.modality_field = source.modality_field;
    reports.split = split;
    reports.max_bad_lines = max_bad_lines;
    options.reports.push_back(std::move(reports));
  }
}

}  // namespace

CorpusOptions corpus_options(const Recipe& recipe) {
  CorpusOptions options;
  for (const SourceRecipe& source : recipe.data.sources) {
    add_files(options, recipe, source, source.train, Split::kTrain);
    add_files(options, recipe, source, source.validation, Split::kValidation);
    add_files(options, recipe, source, source.test, Split::kTest);
    add_files(options, recipe, source, source.reports, std::nullopt);
  }
  options.split = {recipe.data.salt, recipe.data.validation_fraction, recipe.data.test_fraction};
  options.tasks = recipe.tasks;
  options.train_centres = recipe.data.train_centres;
  options.limit = recipe.data.limit;
  const bool drop = recipe.data.duplicates == DuplicatesChoice::kDrop;
  options.seen_texts = drop ? SeenTexts::kDrop : SeenTexts::kKeep;
  return options;
}

LengthOptions length_options(const Recipe& recipe) {
  LengthOptions options;
  const int64_t limit =
      recipe.data.max_tokens > 0 ? recipe.data.max_tokens : recipe.model.max_length;
  options.max_tokens = static_cast<int32_t>(std::min(limit, recipe.train.pack_tokens));
  switch (recipe.data.too_long) {
    case TooLongChoice::kError:
      options.too_long = TooLong::kError;
      break;
    case TooLongChoice::kDrop:
      options.too_long = TooLong::kDrop;
      break;
    case TooLongChoice::kShortenContext:
      options.too_long = TooLong::kShortenContext;
      break;
  }
  return options;
}

PackingOptions packing_options(const Recipe& recipe) {
  const bool shared = recipe.train.sharing == SharingChoice::kShared;
  return {static_cast<int32_t>(recipe.train.pack_tokens),
          shared ? Sharing::kShared : Sharing::kPacked, static_cast<uint64_t>(recipe.train.seed)};
}

LoraOptions lora_options(const Recipe& recipe) {
  LoraOptions options;
  options.rank = recipe.lora.rank;
  options.alpha = recipe.lora.alpha;
  options.dropout = recipe.lora.dropout;
  options.targets = recipe.lora.targets;
  options.rslora = recipe.lora.rslora;
  options.dora = recipe.lora.dora;
  const bool pissa = recipe.lora.init == LoraInitChoice::kPissa;
  options.start = pissa ? LoraStart::kPissa : LoraStart::kUniform;
  options.loraplus_ratio = recipe.optim.loraplus_ratio;
  return options;
}

CommunicatorOptions communicator_options(const Recipe& recipe) {
  CommunicatorOptions options;
  options.interface = recipe.distributed.interface;
  options.start_timeout = recipe.distributed.start_timeout;
  options.timeout = recipe.distributed.timeout;
  options.device = model_options(recipe).device();
  return options;
}

AdamWOptions optimizer_options(const Recipe& recipe) {
  return {recipe.optim.beta1, recipe.optim.beta2, recipe.optim.epsilon, recipe.optim.weight_decay};
}

Schedule learning_rate_schedule(const Recipe& recipe) {
  switch (recipe.optim.schedule) {
    case ScheduleChoice::kLinear:
      return Schedule::kLinear;
    case ScheduleChoice::kCosine:
      return Schedule::kCosine;
    case ScheduleChoice::kConstant:
      break;
  }
  return Schedule::kConstant;
}

}  // namespace radgpt
