#include "libradgpt/train/run.h"

#include <torch/types.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "libradgpt/base/error.h"
#include "libradgpt/base/files.h"
#include "libradgpt/base/hash.h"
#include "libradgpt/config/recipe_file.h"
#include "libradgpt/record/manifest.h"
#include "libradgpt/record/model_card.h"
#include "libradgpt/record/run_record.h"
#include "libradgpt/record/summary.h"
#include "libradgpt/train/assembly.h"
#include "libradgpt/train/options.h"
#include "libradgpt/train/program_digest.h"
#include "libradgpt/train/run_identity.h"

namespace radgpt {

namespace {

namespace fs = std::filesystem;

/// Tells two observers of everything.
class BothObservers : public RunObserver {
 public:
  BothObservers(RunObserver& first, RunObserver& second) : first_(first), second_(second) {}
  void on_step(const StepRecord& record) override {
    first_.on_step(record);
    second_.on_step(record);
  }
  void on_evaluation(const EvaluationRecord& record) override {
    first_.on_evaluation(record);
    second_.on_evaluation(record);
  }
  void on_note(const std::string& note) override {
    first_.on_note(note);
    second_.on_note(note);
  }

 private:
  RunObserver& first_;
  RunObserver& second_;
};

/// Nothing is there but what a run makes before its recipe is written: the folder of checkpoints
/// with the lock.
bool is_new(const RunFolder& folder) {
  if (!fs::exists(folder.path)) return true;
  for (const auto& entry : fs::directory_iterator(folder.path)) {
    if (entry.path() != folder.checkpoints() || !entry.is_directory()) return false;
    for (const auto& inner : fs::directory_iterator(entry)) {
      if (inner.path().filename() != ".lock") return false;
    }
  }
  return true;
}

/// Throws unless output.existing allows to train in the folder. Changes nothing.
void check_folder(const Recipe& recipe) {
  const RunFolder folder{recipe.output.folder};
  if (is_new(folder)) return;
  require(recipe.output.existing != ExistingChoice::kError, folder.path,
          ": output.folder: must be empty or new; output.existing=resume goes on with it, "
          "output.existing=overwrite replaces it");
  require(fs::exists(folder.recipe()) &&
              (fs::exists(folder.checkpoints()) || fs::exists(folder.manifest())),
          folder.path,
          ": output.folder: must be the folder of a run, got one without recipe.yaml and "
          "checkpoints or manifest.json");
}

/// Removes what an earlier run has left, and nothing else. Its recipe stays until the new one
/// replaces it: without it the folder would not be that of a run.
void remove_earlier(const RunFolder& folder) {
  std::vector<fs::path> parts = {folder.manifest(),    folder.adapter(), folder.model(),
                                 folder.predictions(), folder.scores(),  folder.calibration(),
                                 folder.summary(),     folder.record()};
  for (const auto& entry : fs::directory_iterator(folder.path)) {
    if (entry.path().filename().string().rfind("events.out.tfevents.", 0) == 0) {
      parts.push_back(entry.path());
    }
  }
  for (const fs::path& part : parts) {
    std::error_code error;
    fs::remove_all(part, error);
    if (error) {
      fail(ErrorKind::kEnvironment, part.string(), ": cannot be removed: ", error.message());
    }
  }
}

/// Everything that a run works on, made in order.
class Run {
 public:
  Run(const Recipe& recipe, RunObserver& observer, Communicator& ranks);
  RunResult train(const std::atomic<bool>& stop);

 private:
  bool writes() const { return ranks_.rank() == 0; }
  void agree();
  void note_clocks();
  void read_inputs();
  void note_dropped();
  void bind_parameters();
  HeadContext context_of_head() const;
  void save_result(RunResult& result);
  void write_records(const RunResult& result);

  const Recipe& recipe_;
  RunObserver& observer_;
  Communicator& ranks_;
  RunFolder folder_;
  Manifest manifest_;
  Corpus corpus_;
  std::optional<Tokenizer> tokenizer_;
  TokenDataset training_;
  TokenDataset validation_;
  std::unique_ptr<Baichuan> model_;
  ParameterStore store_;
  std::unique_ptr<Adapter> adapter_;
  std::unique_ptr<Head> head_;
};

Run::Run(const Recipe& recipe, RunObserver& observer, Communicator& ranks)
    : recipe_(recipe), observer_(observer), ranks_(ranks), folder_{recipe.output.folder} {
  manifest_.seed = static_cast<uint64_t>(recipe.train.seed);
  manifest_.threads = set_threads(recipe, ranks.local_size());
  read_inputs();
  model_ = make_model(
      recipe, *tokenizer_, [&](int64_t done, int64_t of) { observer.on_loading(done, of); },
      &ranks_);
  manifest_.type = type_name(*model_);
  manifest_.identity["base"] = model_->digest();
  if (ranks.size() > 1) manifest_.counts["ranks"] = ranks.size();
  agree();
  bind_parameters();
}

/// Throws on all ranks unless they are about to do the same.
void Run::agree() {
  if (ranks_.size() == 1) return;
  Recipe recipe = recipe_;
  recipe.train.threads = 0;  // machines may differ
  recipe.distributed.interface.clear();
  ranks_.require_same("program", program_digest(), ErrorKind::kInput);
  ranks_.require_same("recipe", write_recipe(recipe), ErrorKind::kInput);
  for (const auto& [name, digest] : manifest_.identity) {
    ranks_.require_same(name, digest, ErrorKind::kInput);
  }
  note_clocks();
}

/// Wrong clocks change nothing but the times in records.
void Run::note_clocks() {
  constexpr double kSkew = 5;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto clocks = ranks_.gather_numbers({std::chrono::duration<double>(now).count()});
  for (int rank = 1; rank < ranks_.size(); ++rank) {
    const double ahead = clocks[static_cast<size_t>(rank)][0] - clocks[0][0];
    if (std::abs(ahead) < kSkew) continue;
    observer_.on_note(concat(ranks_.name(rank), ": its clock is ", std::abs(ahead),
                             ahead > 0 ? " s ahead of" : " s behind", " that of rank 0"));
  }
}

void Run::read_inputs() {
  corpus_ = read_corpus(corpus_options(recipe_));
  require_no_leaks(find_duplicates(corpus_, 0));  // near ones are no leaks
  note_dropped();
  Sha256 data;
  for (const SourceCounts& source : corpus_.sources) {
    const std::string digest = to_hex(sha256_of_file(source.path));
    manifest_.inputs[source.path] = digest;
    manifest_.counts["bad lines"] += static_cast<int64_t>(source.bad_lines.size());
    data.update(digest);
  }
  tokenizer_ = make_tokenizer(recipe_, corpus_);
  training_ = tokenize(corpus_.part(Split::kTrain), *tokenizer_, length_options(recipe_));
  validation_ = tokenize(corpus_.part(Split::kValidation), *tokenizer_, length_options(recipe_));
  require(recipe_.train.early_stop == 0 || validation_.size() > 0, recipe_.file,
          ": train.early_stop: must be 0 where no report is in validation, got ",
          recipe_.train.early_stop);
  manifest_.identity["data"] = to_hex(data.finish());
  manifest_.identity["tokenizer"] = tokenizer_->digest();
  manifest_.identity["recipe"] = recipe_digest(recipe_);
  manifest_.counts["training examples"] = training_.size();
  manifest_.counts["validation examples"] = validation_.size();
  manifest_.counts["examples cut or dropped"] = static_cast<int64_t>(training_.cuts.size());
}

/// Says how many reports and conversations were left out for a copy in a later split.
void Run::note_dropped() {
  int64_t dropped = 0;
  for (const int count : corpus_.dropped) dropped += count;
  if (recipe_.data.duplicates == DuplicatesChoice::kDrop) {
    manifest_.counts["copies of held-out texts dropped"] = dropped;
  }
  if (dropped > 0) observer_.on_note(concat("dropped ", dropped, " copies of held-out texts"));
}

void Run::bind_parameters() {
  const bool full = recipe_.train.parameters == ParametersChoice::kFull;
  head_ = make_head(recipe_.train.head, context_of_head());
  if (full) {
    model_->add_parameters(store_);
  } else {
    adapter_ = std::make_unique<Adapter>(*model_, lora_options(recipe_), store_);
  }
  const size_t own = store_.size();
  head_->add_parameters(store_);
  require(!full || store_.size() == own, recipe_.file,
          ": train.head: must have no parameters of "
          "its own where train.parameters is full, whose model folder has no place for them, got ",
          recipe_.train.head);
  store_.allocate(model_->device());
  if (full) {
    model_->bind_parameters(store_);
  } else {
    adapter_->attach(manifest_.seed);
  }
  head_->bind_parameters(store_);
  store_.publish();
  manifest_.counts["trained parameters"] = store_.numel();
}

HeadContext Run::context_of_head() const {
  HeadContext context = head_context(recipe_, *model_);
  if (const std::optional<int> task = find_head_task(recipe_)) {
    for (const TokenDataset* dataset : {&training_, &validation_}) {
      for (const TokenExample& example : dataset->examples) {
        context.example_classes.push_back(example.task == *task ? example.label : -1);
      }
    }
  }
  return context;
}

RunResult Run::train(const std::atomic<bool>& stop) {
  std::optional<CheckpointStore> checkpoints;
  if (writes()) {
    checkpoints.emplace(folder_.checkpoints(), recipe_.train.keep_checkpoints, manifest_.identity);
    check_folder(recipe_);  // once more: another run may have come and gone while this one read
    if (recipe_.output.existing == ExistingChoice::kOverwrite) {
      remove_earlier(folder_);
      checkpoints->clear();
    }
  }
  Trainer trainer({*model_, *head_, store_, training_, validation_, ranks_,
                   checkpoints ? &*checkpoints : nullptr},
                  recipe_, stop);
  RunResult result;
  if (recipe_.output.existing == ExistingChoice::kResume) {
    if (writes()) check_resumed_recipe(recipe_, folder_);
    result.resumed_from = trainer.resume(observer_);
    if (result.resumed_from == 0 && writes() && fs::exists(folder_.record())) {
      observer_.on_note(concat(folder_.checkpoints(), ": no checkpoint, so training starts anew"));
    }
    require(result.resumed_from > 0 || !writes() ||
                (!fs::exists(folder_.adapter()) && !fs::exists(folder_.model())),
            folder_.path,
            ": output.existing: must not be resume where a result but no checkpoint is left; "
            "overwrite trains anew");
  }
  const bool replaces = recipe_.output.existing == ExistingChoice::kOverwrite;
  if (writes() && !replaces && trainer.step() < trainer.steps()) {
    const int64_t tensors = recipe_.train.early_stop > 0 ? 4 : 3;
    checkpoints->require_space(static_cast<uint64_t>(tensors * store_.numel()) * sizeof(float),
                               folder_.checkpoints());
  }
  if (!writes()) {
    result.end = trainer.run(observer_);
    result.step = trainer.step();
    ranks_.await_all();  // rank 0 writes: a failure of that is every rank's
    return result;
  }
  write_file_atomically(folder_.recipe(), write_recipe(recipe_));
  RunRecord record(folder_.path, result.resumed_from);
  BothObservers both(record, observer_);
  result.end = trainer.run(both);
  result.step = trainer.step();
  {
    const Undisturbed writing(ranks_);
    if (result.end != TrainingEnd::kInterrupted) save_result(result);
    write_records(result);
  }
  ranks_.await_all();
  return result;
}

void Run::save_result(RunResult& result) {
  std::string weights;
  if (adapter_) {
    result.folder = folder_.adapter();
    adapter_->save(result.folder, recipe_.model.path);
    weights = "adapter_model.safetensors";
  } else {
    result.folder = folder_.model();
    model_->save(result.folder);
    tokenizer_->save(result.folder + "/tokenizer.model");
    weights = "model.safetensors";
  }
  if (result.step > result.resumed_from) {
    fs::remove(folder_.calibration());  // it was fitted to an earlier result
  }
  const std::string path = result.folder + "/" + weights;
  if (fs::exists(path)) manifest_.result[weights] = to_hex(sha256_of_file(path));
}

void Run::write_records(const RunResult& result) {
  static constexpr const char* kEnds[] = {"finished", "stopped early", "interrupted"};
  const std::string end = kEnds[static_cast<size_t>(result.end)];
  manifest_.result["end"] = end;
  manifest_.counts["steps"] = result.step;
  write_manifest(folder_.manifest(), manifest_);
  std::string markdown = concat("| | |\n|---|---|\n| end | ", end, " |\n| steps | ", result.step,
                                " |\n| type | ", manifest_.type, " |\n");
  for (const auto& [name, count] : manifest_.counts) {
    if (name != "steps") markdown += concat("| ", name, " | ", count, " |\n");
  }
  for (const auto& [name, digest] : manifest_.result) {
    if (name != "end") markdown += concat("| SHA-256 of ", name, " | `", digest, "` |\n");
  }
  write_summary_section(folder_.summary(), "Run " + folder_.path, "Training", markdown);
  if (!result.folder.empty()) {
    const ModelCardKind kind = adapter_ ? ModelCardKind::kAdapter : ModelCardKind::kModel;
    write_model_card(result.folder,
                     {.kind = kind, .base = recipe_.model.path, .run = folder_.path});
  }
}

}  // namespace

RunResult run_training(const Recipe& recipe, RunObserver& observer, const std::atomic<bool>& stop,
                       Communicator& ranks) {
  try {
    if (ranks.rank() == 0) check_folder(recipe);
    return Run(recipe, observer, ranks).train(stop);
  } catch (const Error& error) {
    ranks.end_with(error);
    throw;
  } catch (const std::exception& error) {
    ranks.end_with(Error(ErrorKind::kEnvironment, error.what()));
    throw;
  }
}

RunResult run_training(const Recipe& recipe, RunObserver& observer, const std::atomic<bool>& stop) {
  Communicator alone;
  return run_training(recipe, observer, stop, alone);
}

}  // namespace radgpt
