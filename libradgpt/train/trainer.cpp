#include "libradgpt/train/trainer.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>

#include "libradgpt/base/error.h"
#include "libradgpt/train/options.h"

namespace radgpt {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Steps of the whole run: given, or those of all epochs.
int64_t count_steps(const TrainRecipe& recipe, const Sampler& sampler) {
  if (recipe.steps > 0) return recipe.steps;
  int64_t steps = 0;
  for (int64_t epoch = 0; epoch < recipe.epochs; ++epoch) steps += sampler.steps_in_epoch(epoch);
  return steps;
}

std::vector<GradientReduction::Parameter> ranges_of(const ParameterStore& store) {
  std::vector<GradientReduction::Parameter> ranges;
  for (size_t index = 0; index < store.size(); ++index) {
    const int64_t begin = store.offset(index);
    ranges.push_back({begin, begin + store.master(index).numel()});
  }
  return ranges;
}

ReductionOrder reduction_order(const Recipe& recipe) {
  return recipe.distributed.reduction == ReductionChoice::kOrdered ? ReductionOrder::kOrdered
                                                                   : ReductionOrder::kAllreduce;
}

}  // namespace

Trainer::Trainer(const TrainerParts& parts, const Recipe& recipe, const std::atomic<bool>& stop)
    : parts_(parts),
      recipe_(recipe),
      stop_(stop),
      sampler_(parts.training, packing_options(recipe),
               static_cast<int32_t>(recipe.train.packs_per_step)),
      optimizer_(parts.store, optimizer_options(recipe)),
      reduction_(parts.ranks, parts.store.flat_gradient(), ranges_of(parts.store),
                 reduction_order(recipe), reduction_block(parts.ranks.size())),
      steps_(count_steps(recipe.train, sampler_)),
      learning_rate_(learning_rate_schedule(recipe), recipe.optim.learning_rate,
                     recipe.optim.warmup_fraction, steps_) {
  if (recipe.train.early_stop > 0) best_ = parts.store.flat().clone();
  parts.store.watch_gradients([this](size_t parameter) {
    // A sharded base's gathers must come before all exchanges, on every rank alike.
    if (!parts_.model.is_sharded()) reduction_.complete(parameter);
  });
}

Trainer::~Trainer() { parts_.store.watch_gradients({}); }

TrainingEnd Trainer::run(RunObserver& observer) {
  while (state_.step < steps_ && !stopped_early() && !stopping()) {
    observer.on_step(train_step());
    if (state_.bad_steps >= recipe_.train.max_bad_steps) fail_numerically();
    if (evaluation_due()) observer.on_evaluation(evaluate());
    if (save_due()) save(Save::kMayFail, observer);
  }
  const bool interrupted = state_.step < steps_ && !stopped_early();
  // What was learnt is about to be written as a result too, which is smaller.
  const Undisturbed saving(parts_.ranks);  // there may be no other checkpoint
  save(interrupted ? Save::kMustSucceed : Save::kMayFail, observer);
  if (interrupted) return TrainingEnd::kInterrupted;
  if (best_.defined() && std::isfinite(state_.best_loss)) {
    parts_.store.flat().copy_(best_);
    parts_.store.publish();
  }
  return stopped_early() ? TrainingEnd::kStoppedEarly : TrainingEnd::kFinished;
}

StepRecord Trainer::train_step() {
  const Clock::time_point start = Clock::now();
  StepRecord record;
  record.ranks = parts_.ranks.size();
  record.bytes_sent = -parts_.ranks.bytes_sent();
  record.seconds_waited = -parts_.ranks.seconds_waited();
  record.epoch = sampler_.state().epoch;
  parts_.ranks.enter_step(state_.step + 1);
  improved_ = false;
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
  record.bytes_sent += parts_.ranks.bytes_sent();
  record.seconds_waited += parts_.ranks.seconds_waited();
  record.seconds = seconds_since(start);
  return record;
}

/// Leaves the gradient of the mean loss over all packs in the store. The divisor is that of the
/// whole global batch, so the result does not depend on how it is cut into packs.
double Trainer::backward(const std::vector<Pack>& packs, double divisor) {
  const auto count = static_cast<int64_t>(packs.size());
  join_passes(count, PassKind::kForwardAndBackward);
  const PackRange own = reduction_.begin(count);
  std::vector<double> losses;
  for (int64_t index = own.begin; index < own.end; ++index) {
    const Pack& pack = packs[static_cast<size_t>(index)];
    const DropoutKey key{static_cast<uint64_t>(recipe_.train.seed),
                         static_cast<uint64_t>(state_.step), static_cast<uint32_t>(index), true,
                         recipe_.train.neftune_alpha};
    parts_.store.flat_gradient().zero_();
    const at::Tensor hidden = parts_.model.forward(pack, key, parts_.head.rows(pack));
    const HeadOutput output = parts_.head.forward(hidden, pack, divisor);
    output.loss.backward();
    reduction_.add();
    losses.push_back(output.loss_sum);
  }
  reduction_.finish();
  double loss = 0.0;
  for (const double of_pack : gather_losses(losses, count)) loss += of_pack;
  return loss / divisor;
}

/// Takes part in the passes of ranks with more packs than this one.
void Trainer::join_passes(int64_t packs, PassKind kind) const {
  const int size = parts_.ranks.size();
  const int64_t most = packs_of_rank(packs, 0, size).size();
  const int64_t own = packs_of_rank(packs, parts_.ranks.rank(), size).size();
  for (int64_t pass = own; pass < most; ++pass) parts_.model.join_pass(kind);
}

/// The losses of all packs in their order; the ranks' wishes travel along.
std::vector<double> Trainer::gather_losses(const std::vector<double>& own, int64_t packs) {
  const int size = parts_.ranks.size();
  const auto most = static_cast<size_t>(packs_of_rank(packs, 0, size).size());
  std::vector<double> mine = own;
  mine.resize(most);
  mine.push_back(stop_ ? 1 : 0);
  mine.push_back(save_time_has_come() ? 1 : 0);
  const std::vector<std::vector<double>> all = parts_.ranks.gather_numbers(mine);
  std::vector<double> losses;
  wishes_ = {false, all[0][most + 1] > 0};
  for (int rank = 0; rank < size; ++rank) {
    const std::vector<double>& numbers = all[static_cast<size_t>(rank)];
    const int64_t given = packs_of_rank(packs, rank, size).size();
    losses.insert(losses.end(), numbers.begin(), numbers.begin() + given);
    wishes_.stop |= numbers[most] > 0;
  }
  return losses;
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

/// What this rank alone was asked counts once all have heard of it.
bool Trainer::stopping() const { return parts_.ranks.size() == 1 ? stop_.load() : wishes_.stop; }

/// Ranks share the packs; losses are added up in the packs' order.
EvaluationRecord Trainer::evaluate() {
  const at::NoGradGuard no_grad;
  EvaluationRecord record;
  record.step = state_.step;
  std::vector<Pack> packs = pack_epoch(parts_.validation, packing_options(recipe_), 0);
  const auto count = static_cast<int64_t>(packs.size());
  const int size = parts_.ranks.size();
  const PackRange own = packs_of_rank(count, parts_.ranks.rank(), size);
  std::vector<double> losses;
  double weight = 0.0;
  join_passes(count, PassKind::kForward);
  for (int64_t index = 0; index < count; ++index) {
    Pack& pack = packs[static_cast<size_t>(index)];
    for (PackedExample& packed : pack.examples) packed.example += parts_.training.size();
    record.targets += parts_.head.terms(pack);
    weight += parts_.head.weight(pack);
    if (index < own.begin || index >= own.end) continue;
    const at::Tensor hidden = parts_.model.forward(pack, DropoutKey{}, parts_.head.rows(pack));
    losses.push_back(parts_.head.forward(hidden, pack, 1.0).loss_sum);
  }
  double loss = 0.0;
  for (const double of_pack : gather_losses(losses, count)) loss += of_pack;
  record.loss = weight > 0.0 ? loss / weight : 0.0;
  note_evaluation(record);
  return record;
}

void Trainer::note_evaluation(EvaluationRecord& record) {
  record.best = record.loss < state_.best_loss;
  improved_ = record.best;
  if (record.best) {
    state_.best_loss = record.loss;
    state_.evaluations_since_best = 0;
    if (best_.defined()) best_.copy_(parts_.store.flat());
  } else {
    ++state_.evaluations_since_best;
  }
}

}  // namespace radgpt
