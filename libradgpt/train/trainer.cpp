#include "libradgpt/train/trainer.h"

#include <torch/types.h>

#include <chrono>
#include <cmath>

#include "libradgpt/base/error.h"
#include "libradgpt/train/options.h"

namespace radgpt {

namespace {

/// Steps of the whole run: given, or those of all epochs.
int64_t count_steps(const TrainRecipe& recipe, const Sampler& sampler) {
  if (recipe.steps > 0) return recipe.steps;
  int64_t steps = 0;
  for (int64_t epoch = 0; epoch < recipe.epochs; ++epoch) steps += sampler.steps_in_epoch(epoch);
  return steps;
}

}  // namespace

Trainer::Trainer(const TrainerParts& parts, const Recipe& recipe, CheckpointStore& checkpoints,
                 const std::atomic<bool>& stop)
    : parts_(parts),
      recipe_(recipe),
      checkpoints_(checkpoints),
      stop_(stop),
      sampler_(parts.training, packing_options(recipe),
               static_cast<int32_t>(recipe.train.packs_per_step)),
      optimizer_(parts.store, optimizer_options(recipe)),
      steps_(count_steps(recipe.train, sampler_)),
      learning_rate_(learning_rate_schedule(recipe), recipe.optim.learning_rate,
                     recipe.optim.warmup_fraction, steps_) {
  if (recipe.train.early_stop > 0) best_ = parts.store.flat().clone();
}

TrainingEnd Trainer::run(RunObserver& observer) {
  while (state_.step < steps_ && !stopped_early() && !stop_) {
    observer.on_step(train_step());
    if (state_.bad_steps >= recipe_.train.max_bad_steps) fail_numerically();
    if (evaluation_due()) observer.on_evaluation(evaluate());
    if (recipe_.train.save_every > 0 && state_.step % recipe_.train.save_every == 0) save();
  }
  save();
  if (state_.step < steps_ && !stopped_early()) return TrainingEnd::kInterrupted;
  if (best_.defined() && std::isfinite(state_.best_loss)) {
    parts_.store.flat().copy_(best_);
    parts_.store.publish();
  }
  return stopped_early() ? TrainingEnd::kStoppedEarly : TrainingEnd::kFinished;
}

StepRecord Trainer::train_step() {
  const auto start = std::chrono::steady_clock::now();
  StepRecord record;
  record.epoch = sampler_.state().epoch;
  const std::vector<Pack> packs = sampler_.next();
  double weight = 0.0;
  for (const Pack& pack : packs) {
    record.targets += parts_.head.terms(pack);
    weight += parts_.head.weight(pack);
    record.tokens += pack.size();
    record.examples += static_cast<int64_t>(pack.examples.size());
  }
  record.loss = backward(packs, weight > 0.0 ? weight : 1.0);
  update(record);
  record.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return record;
}

/// Leaves the gradient of the mean loss over all packs in the store. The divisor is that of the
/// whole global batch, so the result does not depend on how it is cut into packs.
double Trainer::backward(const std::vector<Pack>& packs, double divisor) {
  double loss = 0.0;
  for (size_t index = 0; index < packs.size(); ++index) {
    const DropoutKey key{static_cast<uint64_t>(recipe_.train.seed),
                         static_cast<uint64_t>(state_.step), static_cast<uint32_t>(index), true,
                         recipe_.train.neftune_alpha};
    parts_.store.flat_gradient().zero_();
    const at::Tensor hidden =
        parts_.model.forward(packs[index], key, parts_.head.rows(packs[index]));
    const HeadOutput output = parts_.head.forward(hidden, packs[index], divisor);
    output.loss.backward();
    gradient_sum_.add(parts_.store.flat_gradient());
    loss += output.loss_sum;
  }
  gradient_sum_.finish(parts_.store.flat_gradient());
  return loss / divisor;
}

void Trainer::update(StepRecord& record) {
  record.gradient_norm = gradient_norm(parts_.store.flat_gradient());
  record.learning_rate = learning_rate_.at(state_.step);
  record.skipped = !std::isfinite(record.loss) || !std::isfinite(record.gradient_norm);
  if (record.skipped) {
    ++state_.bad_steps;
  } else {
    const double clip = recipe_.optim.clip_norm;
    const bool too_long = clip > 0.0 && record.gradient_norm > clip;
    optimizer_.step(record.learning_rate, too_long ? clip / record.gradient_norm : 1.0);
    state_.bad_steps = 0;
  }
  record.step = ++state_.step;
  record.steps = steps_;
}

void Trainer::fail_numerically() const {
  fail(ErrorKind::kNumeric, "train: loss or gradient was not finite in ", state_.bad_steps,
       " steps in a row, the last of them step ", state_.step, "; train.max_bad_steps is ",
       recipe_.train.max_bad_steps);
}

bool Trainer::evaluation_due() const {
  if (parts_.validation.size() == 0) return false;
  if (state_.step == steps_) return true;
  if (recipe_.train.evaluate_every > 0) return state_.step % recipe_.train.evaluate_every == 0;
  return sampler_.state().position == 0;  // an epoch has just ended
}

bool Trainer::stopped_early() const {
  return recipe_.train.early_stop > 0 && state_.evaluations_since_best >= recipe_.train.early_stop;
}

EvaluationRecord Trainer::evaluate() {
  const at::NoGradGuard no_grad;
  EvaluationRecord record;
  record.step = state_.step;
  double loss = 0.0, weight = 0.0;
  for (Pack& pack : pack_epoch(parts_.validation, packing_options(recipe_), 0)) {
    for (PackedExample& packed : pack.examples) packed.example += parts_.training.size();
    const at::Tensor hidden = parts_.model.forward(pack, DropoutKey{}, parts_.head.rows(pack));
    loss += parts_.head.forward(hidden, pack, 1.0).loss_sum;
    record.targets += parts_.head.terms(pack);
    weight += parts_.head.weight(pack);
  }
  record.loss = weight > 0.0 ? loss / weight : 0.0;
  record.best = record.loss < state_.best_loss;
  if (record.best) {
    state_.best_loss = record.loss;
    state_.evaluations_since_best = 0;
    if (best_.defined()) best_.copy_(parts_.store.flat());
  } else {
    ++state_.evaluations_since_best;
  }
  return record;
}

void Trainer::save() {
  if (saved_step_ == state_.step) return;
  Checkpoint checkpoint;
  checkpoint.step = state_.step;
  checkpoint.counters = {{"epoch", sampler_.state().epoch},
                         {"position", sampler_.state().position},
                         {"updates", optimizer_.updates()},
                         {"bad_steps", state_.bad_steps},
                         {"evaluations_since_best", state_.evaluations_since_best}};
  checkpoint.best_loss = state_.best_loss;
  checkpoint.tensors = {{"parameters", parts_.store.flat().cpu()},
                        {"first_moment", optimizer_.first_moment().cpu()},
                        {"second_moment", optimizer_.second_moment().cpu()}};
  if (best_.defined()) checkpoint.tensors["best"] = best_.cpu();
  checkpoints_.save(checkpoint);
  saved_step_ = state_.step;
}

int64_t Trainer::resume(RunObserver& observer) {
  const std::optional<Checkpoint> found =
      checkpoints_.load_newest([&observer](const std::string& note) { observer.on_note(note); });
  if (!found) return 0;
  state_.step = found->step;
  state_.bad_steps = found->counter("bad_steps");
  state_.evaluations_since_best = found->counter("evaluations_since_best");
  state_.best_loss = found->best_loss;
  sampler_.restore({found->counter("epoch"), found->counter("position")});
  parts_.store.flat().copy_(found->tensor("parameters", parts_.store.flat()));
  optimizer_.restore(found->tensor("first_moment", parts_.store.flat()),
                     found->tensor("second_moment", parts_.store.flat()),
                     found->counter("updates"));
  if (best_.defined()) best_.copy_(found->tensor("best", best_));
  parts_.store.publish();
  saved_step_ = state_.step;
  return state_.step;
}

}  // namespace radgpt
