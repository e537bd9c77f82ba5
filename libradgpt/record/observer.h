#pragma once

#include <cstdint>
#include <string>

namespace radgpt {

/// One optimizer step as it was done. `loss` is the mean over the targets of the global batch,
/// weighted by their tasks.
struct StepRecord {
  int64_t step = 0;   ///< 1 = after the first update
  int64_t steps = 0;  ///< of the whole run
  int64_t epoch = 0;
  double loss = 0.0;
  double gradient_norm = 0.0;  ///< before clipping
  double learning_rate = 0.0;
  int64_t tokens = 0;   ///< computed
  int64_t targets = 0;  ///< with loss
  int64_t examples = 0;
  double seconds = 0.0;
  int ranks = 1;
  int64_t bytes_sent = 0;       ///< to other ranks, by this one
  double seconds_waited = 0.0;  ///< of `seconds`, for other ranks and the network
  bool skipped = false;         ///< loss or gradient was not finite: no update was made
};

/// One pass over the validation examples.
struct EvaluationRecord {
  int64_t step = 0;
  double loss = 0.0;  ///< weighted mean over targets
  int64_t targets = 0;
  bool best = false;  ///< lowest so far
};

/// Hears what a run does. Called on the thread of the trainer.
class RunObserver {
 public:
  virtual ~RunObserver() = default;
  virtual void on_step(const StepRecord& record) = 0;
  virtual void on_evaluation(const EvaluationRecord& record) = 0;
  /// Bytes of the base's weights read so far, of all (LoadProgress in model/baichuan.h). Whoever
  /// does not care leaves it as it is.
  virtual void on_loading(int64_t /*done*/, int64_t /*of*/) {}
  /// Something a person should know, one line ("checkpoint step-40 was damaged, using step-20").
  virtual void on_note(const std::string& note) = 0;
};

}  // namespace radgpt
