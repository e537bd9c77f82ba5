#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <vector>

#include "libradgpt/checkpoint/checkpoint_store.h"
#include "libradgpt/config/recipe.h"
#include "libradgpt/data/sampler.h"
#include "libradgpt/distributed/ordered_sum.h"
#include "libradgpt/heads/head.h"
#include "libradgpt/model/baichuan.h"
#include "libradgpt/ops/parameter_store.h"
#include "libradgpt/optim/adamw.h"
#include "libradgpt/optim/learning_rate.h"
#include "libradgpt/record/observer.h"

namespace radgpt {

/// What a trainer works on; everything outlives it. The parameters of `store` are bound to `model`
/// and `head` and published. To the head, validation examples are numbered on behind the training
/// examples (HeadContext::example_classes).
struct TrainerParts {
  const Baichuan& model;
  Head& head;
  ParameterStore& store;
  const TokenDataset& training;
  const TokenDataset& validation;  ///< may be empty: then nothing is evaluated
};

/// Why training ended.
enum class TrainingEnd {
  kFinished,      ///< all steps done
  kStoppedEarly,  ///< validation loss did not improve any more
  kInterrupted,   ///< asked to stop; the state is saved
};

/// Fine-tunes: draws packs, adds up their gradients in a fixed order, updates the store.
///
/// The result depends on recipe and data alone: a run that was killed and resumed, or computed with
/// another number of threads, ends with the same bits (design D5).
class Trainer {
 public:
  /// `stop` is read after every step (a signal handler may set it).
  Trainer(const TrainerParts& parts, const Recipe& recipe, CheckpointStore& checkpoints,
          const std::atomic<bool>& stop);

  /// Takes up the state of the newest valid checkpoint. Returns its step; 0 if there is none.
  int64_t resume(RunObserver& observer);

  /// Trains to the end. On return the store holds the result: with early stopping the state of the
  /// best evaluation if one had a finite loss, else the last. Throws Error(kNumeric) after
  /// train.max_bad_steps steps in a row whose loss or gradient was not finite.
  TrainingEnd run(RunObserver& observer);

  int64_t step() const { return state_.step; }
  int64_t steps() const { return steps_; }

 private:
  struct State {
    int64_t step = 0;
    int64_t bad_steps = 0;
    int64_t evaluations_since_best = 0;
    double best_loss = std::numeric_limits<double>::infinity();
  };

  StepRecord train_step();
  double backward(const std::vector<Pack>& packs, double divisor);
  void update(StepRecord& record);
  [[noreturn]] void fail_numerically() const;
  EvaluationRecord evaluate();
  void save();
  bool evaluation_due() const;
  bool stopped_early() const;

  TrainerParts parts_;
  const Recipe& recipe_;
  CheckpointStore& checkpoints_;
  const std::atomic<bool>& stop_;
  Sampler sampler_;
  AdamW optimizer_;
  OrderedSum gradient_sum_;
  int64_t steps_;
  LearningRate learning_rate_;
  State state_;
  at::Tensor best_;  ///< flat masters of the best evaluation; only with early stopping
  int64_t saved_step_ = -1;
};

}  // namespace radgpt
