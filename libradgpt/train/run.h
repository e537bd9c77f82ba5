#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "libradgpt/config/recipe.h"
#include "libradgpt/distributed/communicator.h"
#include "libradgpt/record/observer.h"
#include "libradgpt/train/trainer.h"

namespace radgpt {

/// How a run ended and what it left.
struct RunResult {
  TrainingEnd end = TrainingEnd::kFinished;
  int64_t step = 0;          ///< updates made
  int64_t resumed_from = 0;  ///< step of the checkpoint it began with; 0 = from the start
  std::string folder;        ///< of the adapter or the model; empty when interrupted
};

/// Trains as the recipe says and leaves the run folder: recipe, manifest, record, checkpoints,
/// summary, and the adapter (or the model with its tokenizer). `observer` hears of every step
/// beside the record. What an earlier run left is touched only once all inputs are read, the folder
/// is locked and, to resume, its checkpoint is accepted. `stop` ends the run after the step at
/// hand, saved, to be resumed.
///
/// With several ranks every one calls this. Each reads the inputs and the base; recipe, program,
/// data, tokenizer and base must be the same on all, or all get Error(kInput) that says what
/// differs where. Rank 0 alone touches the run folder and has a result. An error of one rank ends
/// the others with its kind.
RunResult run_training(const Recipe& recipe, RunObserver& observer, const std::atomic<bool>& stop,
                       Communicator& ranks);
/// The same with one rank.
RunResult run_training(const Recipe& recipe, RunObserver& observer, const std::atomic<bool>& stop);

}  // namespace radgpt
