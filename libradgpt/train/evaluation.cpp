#include "libradgpt/train/evaluation.h"

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "libradgpt/base/error.h"
#include "libradgpt/base/files.h"
#include "libradgpt/base/hash.h"
#include "libradgpt/base/shipped_files.h"
#include "libradgpt/config/recipe_file.h"
#include "libradgpt/eval/score_report.h"
#include "libradgpt/formats/calibration_file.h"
#include "libradgpt/formats/json.h"
#include "libradgpt/record/model_card.h"
#include "libradgpt/record/summary.h"
#include "libradgpt/train/assembly.h"
#include "libradgpt/train/options.h"

namespace radgpt {

namespace {

constexpr uint64_t kManifestLimit = 1 << 20;

GenerationOptions generation_options(const Recipe& recipe) {
  const EvaluateRecipe& evaluate = recipe.evaluate;
  GenerationOptions options;
  options.max_new_tokens = evaluate.max_new_tokens;
  options.batch = evaluate.batch;
  options.sampling = {evaluate.temperature, evaluate.top_k, evaluate.top_p,
                      evaluate.repetition_penalty, static_cast<uint64_t>(recipe.train.seed)};
  return options;
}

/// What of a task is not scored, and why.
void add_notes(const Task& task, const TaskCounts& counts, std::vector<std::string>& notes) {
  const auto add = [&](int64_t count, const std::string& reason) {
    if (count > 0) notes.push_back(concat(task.name, ": not scored: ", count, " ", reason));
  };
  if (counts.items == 0) {
    notes.push_back(task.name + ": not scored: no held-out report gives an example");
  }
  add(counts.unlisted, "held-out report(s) whose label is not among the task's labels");
  add(counts.too_long, "example(s) that are too long for the model");
}

/// Data and tasks say whom a run has learnt from: with others, its training reports would be scored
/// as held out.
void require_same_reports(const Recipe& recipe, const RunFolder& folder) {
  const auto learnt = [](const Recipe& whole) {
    Recipe part;
    part.data = whole.data;
    part.tasks = whole.tasks;
    return write_recipe(part);
  };
  require(learnt(read_recipe(folder.recipe())) == learnt(recipe), recipe.file,
          ": data, tasks: must be those of the run, ", folder.recipe(), ", got others");
}

/// Everything that is asked, and who is asked.
class Evaluation {
 public:
  Evaluation(const Recipe& recipe, const EvaluationProgress& progress);
  EvaluationResult run();

 private:
  void require_recorded(const char* group, const std::string& name,
                        const std::string& digest) const;
  bool calibrates() const;
  EvaluationSet held_out(Split split) const;
  void ask(const AskedModel& asked);
  void ask_models();
  std::vector<std::string> notes() const;
  void write(const EvaluationResult& result) const;

  const Recipe& recipe_;
  const EvaluationProgress& progress_;
  RunFolder folder_;
  nlohmann::json manifest_;
  Corpus corpus_;
  Tokenizer tokenizer_;
  EvaluationSet set_;
  std::vector<SystemAnswers> systems_;
  std::vector<std::string> models_;
  Calibration calibration_;
};

Tokenizer tokenizer_of_run(const Recipe& recipe, const RunFolder& folder, const Corpus& corpus) {
  if (recipe.train.parameters == ParametersChoice::kFull) {
    return Tokenizer::load(folder.model() + "/tokenizer.model");
  }
  return make_tokenizer(recipe, corpus);
}

Evaluation::Evaluation(const Recipe& recipe, const EvaluationProgress& progress)
    : recipe_(recipe),
      progress_(progress),
      folder_{recipe.output.folder},
      manifest_(read_json_file(folder_.manifest(), kManifestLimit)),
      corpus_(read_corpus(corpus_options(recipe))),
      tokenizer_(tokenizer_of_run(recipe, folder_, corpus_)),
      set_(held_out(recipe.evaluate.split == SplitChoice::kTest ? Split::kTest
                                                                : Split::kValidation)) {
  require(!set_.items.empty(), recipe.file,
          ": evaluate.split: must have reports with the fields of a task, got none");
  require_no_leaks(find_duplicates(corpus_, 0));
  for (const SourceCounts& source : corpus_.sources) {
    require_recorded("inputs", source.path, to_hex(sha256_of_file(source.path)));
  }
  require_recorded("identity", "tokenizer", tokenizer_.digest());
}

/// Throws unless the manifest of the run has this digest.
void Evaluation::require_recorded(const char* group, const std::string& name,
                                  const std::string& digest) const {
  const JsonObject whole(manifest_, folder_.manifest());
  require(whole.object(group).text(name) == digest, folder_.manifest(), ": ", group, ".", name,
          ": must be what the run was made from, got another");
}

/// Temperatures that were fitted on the scored reports would make their scores look better.
bool Evaluation::calibrates() const {
  return recipe_.evaluate.calibrate && recipe_.evaluate.split != SplitChoice::kValidation;
}

EvaluationSet Evaluation::held_out(Split split) const {
  return make_evaluation_set(corpus_.part(split), recipe_.tasks, tokenizer_,
                             {.max_tokens = static_cast<int32_t>(recipe_.model.max_length),
                              .limit = recipe_.evaluate.limit,
                              .salt = recipe_.data.salt,
                              .task = find_head_task(recipe_)});
}

void Evaluation::ask(const AskedModel& asked) {
  Temperatures temperatures;
  if (calibrates()) {
    progress_("calibrating " + asked.system, 0, 1);
    temperatures = fit_temperatures(asked, held_out(Split::kValidation));
    for (const auto& [task, temperature] : temperatures) {
      calibration_[asked.system][recipe_.tasks[static_cast<size_t>(task)].name] = temperature;
    }
  }
  systems_.push_back(answer_with_model(
      asked, tokenizer_, set_, temperatures, generation_options(recipe_),
      [&](int64_t done, int64_t of) { progress_("asking " + asked.system, done, of); }));
  models_.push_back(asked.system);
}

void Evaluation::ask_models() {
  const LoadProgress show_loading = [&](int64_t done, int64_t of) {
    progress_("loading weights, MB", done / 1'000'000, of / 1'000'000);
  };
  if (recipe_.train.parameters == ParametersChoice::kFull) {
    const auto model = Baichuan::load(folder_.model(), model_options(recipe_), show_loading);
    ask({"model", *model});
    return;
  }
  const std::unique_ptr<Baichuan> model = make_model(recipe_, tokenizer_, show_loading);
  // In another type the weights are rounded otherwise and have another digest.
  if (JsonObject(manifest_, folder_.manifest()).text("type") == type_name(*model)) {
    require_recorded("identity", "base", model->digest());
  }
  if (recipe_.evaluate.compare_base && !find_head_task(recipe_)) ask({"base", *model});
  const AdaptedModel adapted(*model, recipe_, folder_.adapter());
  ask({"adapter", *model, adapted.classifier()});
}

EvaluationResult Evaluation::run() {
  if (recipe_.evaluate.baselines) {
    progress_("asking baselines", 0, 1);
    systems_ = answer_with_baselines(set_, corpus_.part(Split::kTrain));
  }
  ask_models();
  progress_("scoring", 0, 1);
  const std::optional<WordSegmenter> words = find_word_segmenter(shipped_files() + "/words", "");
  ScoringOptions options;
  options.resamples = static_cast<int>(recipe_.evaluate.bootstrap);
  options.seed = static_cast<uint64_t>(recipe_.train.seed);
  options.words = words ? &*words : nullptr;
  std::vector<std::string> names;
  for (const SystemAnswers& system : systems_) names.push_back(system.system);
  EvaluationResult result{score(set_, systems_, options), names, notes()};
  if (!words) result.notes.push_back("no word list: scores of words are left out");
  write(result);
  return result;
}

std::vector<std::string> Evaluation::notes() const {
  std::vector<std::string> notes;
  const std::optional<int> only = find_head_task(recipe_);
  if (only && recipe_.tasks.size() > 1) {
    notes.push_back(concat("the head ", recipe_.train.head, " answers ", recipe_.train.head_task,
                           " alone: the other tasks are not scored"));
  }
  if (recipe_.evaluate.calibrate && !calibrates()) {
    notes.push_back("label probabilities are not calibrated: validation itself is scored");
  }
  for (const SourceCounts& source : corpus_.sources) {
    if (source.bad_lines.empty()) continue;
    notes.push_back(concat(source.path, ": ", source.bad_lines.size(), " unreadable line(s)"));
  }
  for (size_t task = 0; task < recipe_.tasks.size(); ++task) {
    if (only && static_cast<size_t>(*only) != task) continue;
    add_notes(recipe_.tasks[task], set_.counts[task], notes);
  }
  return notes;
}

void Evaluation::write(const EvaluationResult& result) const {
  write_file_atomically(folder_.predictions(), predictions_as_json_lines(set_, systems_));
  write_file_atomically(folder_.scores(), scores_as_json(result.groups, recipe_.tasks));
  if (calibrates()) write_calibration(folder_.calibration(), calibration_);
  const auto table_of = [&](TableRows rows) {
    return headline_table(result.groups, recipe_.tasks, result.systems, rows).as_markdown();
  };
  std::string markdown = table_of(TableRows::kCentres) + "\n" + table_of(TableRows::kModalities) +
                         "\n" + detail_table(result.groups, recipe_.tasks, models_).as_markdown();
  for (const std::string& note : result.notes) markdown += "\n* " + note;
  if (!result.notes.empty()) markdown += "\n";
  write_summary_section(folder_.summary(), "Run " + folder_.path, "Scores", markdown);
  const bool full = recipe_.train.parameters == ParametersChoice::kFull;
  const ModelCardKind kind = full ? ModelCardKind::kModel : ModelCardKind::kAdapter;
  write_model_card(full ? folder_.model() : folder_.adapter(),
                   {.kind = kind, .base = recipe_.model.path, .run = folder_.path});
}

}  // namespace

EvaluationResult run_evaluation(const Recipe& recipe, const EvaluationProgress& progress) {
  const RunFolder folder{recipe.output.folder};
  const bool full = recipe.train.parameters == ParametersChoice::kFull;
  const std::string result = full ? folder.model() : folder.adapter();
  require(std::filesystem::is_directory(result), result,
          ": must be there before it can be scored; run radgpt train first");
  require_same_reports(recipe, folder);
  set_threads(recipe);
  return Evaluation(recipe, progress).run();
}

}  // namespace radgpt
