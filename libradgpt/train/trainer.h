#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <vector>

#include "libradgpt/checkpoint/checkpoint_store.h"
#include "libradgpt/config/recipe.h"
#include "libradgpt/data/sampler.h"
#include "libradgpt/distributed/communicator.h"
#include "libradgpt/distributed/gradient_reduction.h"
#include "libradgpt/heads/head.h"
#include "libradgpt/model/baichuan.h"
#include "libradgpt/ops/parameter_store.h"
#include "libradgpt/optim/adamw.h"
#include "libradgpt/optim/learning_rate.h"
#include "libradgpt/record/observer.h"

namespace radgpt {

/// What a trainer works on; everything outlives it, and is the same on every rank. The parameters
/// of `store` are bound to `model` and `head` and published. To the head, validation examples are
/// numbered on behind the training examples (HeadContext::example_classes).
struct TrainerParts {
  const Baichuan& model;
  Head& head;
  ParameterStore& store;
  const TokenDataset& training;
  const TokenDataset& validation;  ///< may be empty: then nothing is evaluated
  Communicator& ranks;
  CheckpointStore* checkpoints;  ///< of rank 0; null on the others
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
/// another number of threads or ranks, ends with the same bits (design D5). Ranks share the packs
/// of a step and of an evaluation; each updates its own copy of the parameters, and all decide
/// alike, since they decide by what they have gathered.
class Trainer {
 public:
  /// `stop` is read after every step (a signal handler may set it); one rank's stops all, at the
  /// end of the step that they are in.
  Trainer(const TrainerParts& parts, const Recipe& recipe, const std::atomic<bool>& stop);
  ~Trainer();

  /// Takes up the state of the newest valid checkpoint of rank 0, which sends it to all. Returns
  /// its step; 0 if there is none.
  int64_t resume(RunObserver& observer);

  /// Trains to the end. On return the store holds the result: with early stopping the state of the
  /// best evaluation if one had a finite loss, else the last. Throws Error(kNumeric) after
  /// train.max_bad_steps steps in a row whose loss or gradient was not finite, Error(kDivergence)
  /// if the ranks' parameters or moments are not equal when a checkpoint is due, and the error of a
  /// checkpoint that could not be saved: the third in a row, or the one of an interruption.
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
  /// What ranks tell each other in a step beside gradients.
  struct Wishes {
    bool stop = false;  ///< of any rank
    bool save = false;  ///< by the clock of rank 0
  };
  enum class Save { kMayFail, kMustSucceed };

  StepRecord train_step();
  double backward(const std::vector<Pack>& packs, double divisor);
  void join_passes(int64_t packs, PassKind kind) const;
  std::vector<double> gather_losses(const std::vector<double>& own, int64_t packs);
  void update(StepRecord& record);
  [[noreturn]] void fail_numerically() const;
  EvaluationRecord evaluate();
  void note_evaluation(EvaluationRecord& record);
  void save(Save mode, RunObserver& observer);
  void require_equal_states();
  Checkpoint checkpoint() const;
  CheckpointNeeds needs() const;
  void note_other_program(const Checkpoint& found, RunObserver& observer) const;
  void broadcast(const at::Tensor& tensor);
  bool evaluation_due() const;
  bool save_due() const;
  bool save_time_has_come() const;
  bool stopping() const;
  bool stopped_early() const;

  TrainerParts parts_;
  const Recipe& recipe_;
  const std::atomic<bool>& stop_;
  Sampler sampler_;
  AdamW optimizer_;
  GradientReduction reduction_;
  int64_t steps_;
  LearningRate learning_rate_;
  State state_;
  at::Tensor best_;             ///< flat masters of the best evaluation; only with early stopping
  int64_t compared_step_ = -1;  ///< whose state the ranks have found to be equal
  int64_t saved_step_ = -1;     ///< by rank 0
  bool improved_ = false;       ///< the evaluation of this step is the best so far
  std::chrono::steady_clock::time_point save_time_ = std::chrono::steady_clock::now();
  int failed_saves_ = 0;  ///< in a row
  Wishes wishes_;
};

}  // namespace radgpt
