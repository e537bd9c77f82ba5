#include <torch/types.h>
#include <torch/version.h>

#include <cmath>
#include <map>

#include "libradgpt/base/error.h"
#include "libradgpt/base/hash.h"
#include "libradgpt/train/trainer.h"

namespace radgpt {

namespace {

constexpr int kMostFailedSaves = 3;

std::string digest_of(const at::Tensor& tensor) {
  const at::Tensor whole = tensor.cpu();
  return to_hex(sha256({static_cast<const char*>(whole.const_data_ptr()), whole.nbytes()}));
}

}  // namespace

bool Trainer::save_time_has_come() const {
  const std::chrono::duration<double> since = std::chrono::steady_clock::now() - save_time_;
  return recipe_.train.save_minutes > 0 && since.count() >= 60 * recipe_.train.save_minutes;
}

bool Trainer::save_due() const {
  const int64_t every = recipe_.train.save_every;
  return (every > 0 && state_.step % every == 0) || wishes_.save ||
         (recipe_.train.keep_best && improved_);
}

void Trainer::save(Save mode, RunObserver& observer) {
  require_equal_states();
  save_time_ = std::chrono::steady_clock::now();
  parts_.ranks.expect_delay();
  if (parts_.checkpoints == nullptr || saved_step_ == state_.step) return;
  try {
    parts_.checkpoints->save(checkpoint());
    saved_step_ = state_.step;
    failed_saves_ = 0;
  } catch (const Error& error) {
    const bool may_pass = error.kind() == ErrorKind::kEnvironment && mode == Save::kMayFail;
    if (!may_pass || ++failed_saves_ == kMostFailedSaves) throw;
    observer.on_note(
        concat("no checkpoint of step ", state_.step, ", the one before stays: ", error.what()));
  }
}

/// Every rank has made the same updates of the same gradients; a fault of its memory would show.
void Trainer::require_equal_states() {
  if (parts_.ranks.size() == 1 || compared_step_ == state_.step) return;
  const std::pair<const char*, const at::Tensor*> tensors[] = {
      {"parameters", &parts_.store.flat()},
      {"first moments", &optimizer_.first_moment()},
      {"second moments", &optimizer_.second_moment()}};
  for (const auto& [name, tensor] : tensors) {
    parts_.ranks.require_same(concat(name, " after step ", state_.step), digest_of(*tensor),
                              ErrorKind::kDivergence);
  }
  compared_step_ = state_.step;
}

Checkpoint Trainer::checkpoint() const {
  Checkpoint checkpoint;
  checkpoint.step = state_.step;
  checkpoint.counters = {{"epoch", sampler_.state().epoch},
                         {"position", sampler_.state().position},
                         {"updates", optimizer_.updates()},
                         {"bad_steps", state_.bad_steps},
                         {"evaluations_since_best", state_.evaluations_since_best}};
  checkpoint.mark =
      recipe_.train.keep_best && improved_ ? Checkpoint::Mark::kBest : Checkpoint::Mark::kNone;
  checkpoint.facts = {{"ranks", std::to_string(parts_.ranks.size())},
                      {"packs of a step", std::to_string(recipe_.train.packs_per_step)},
                      {"device", parts_.model.device().str()}};
  checkpoint.best_loss = state_.best_loss;
  checkpoint.tensors = {{"parameters", parts_.store.flat().cpu()},
                        {"first_moment", optimizer_.first_moment().cpu()},
                        {"second_moment", optimizer_.second_moment().cpu()}};
  if (best_.defined()) checkpoint.tensors["best"] = best_.cpu();
  return checkpoint;
}

CheckpointNeeds Trainer::needs() const {
  const int64_t count = parts_.store.numel();
  CheckpointNeeds needs{{{"parameters", count}, {"first_moment", count}, {"second_moment", count}},
                        steps_};
  if (best_.defined()) needs.elements["best"] = count;
  return needs;
}

/// Says where the bits of an unbroken run are not promised.
void Trainer::note_other_program(const Checkpoint& found, RunObserver& observer) const {
  std::map<std::string, std::string> here = {{"libtorch", TORCH_VERSION},
                                             {"device", parts_.model.device().str()}};
  if (recipe_.distributed.reduction == ReductionChoice::kAllreduce) {
    here["ranks"] = std::to_string(parts_.ranks.size());
  }
  for (const auto& [name, value] : here) {
    const auto fact = found.facts.find(name);
    if (fact == found.facts.end() || fact->second == value) continue;
    observer.on_note(concat("the checkpoint of step ", found.step, " was made with ", name, ' ',
                            fact->second, ", not ", value,
                            ": the rest may differ from an unbroken run in the last bits"));
  }
}

void Trainer::broadcast(const at::Tensor& tensor) { parts_.ranks.broadcast(tensor).wait(); }

int64_t Trainer::resume(RunObserver& observer) {
  const at::NoGradGuard no_grad;
  std::optional<Checkpoint> found;
  std::vector<double> numbers(7, 0.0);
  const auto note = [&observer](const std::string& line) { observer.on_note(line); };
  at::Tensor parameters = parts_.store.flat();
  if (parts_.checkpoints != nullptr) found = parts_.checkpoints->load_newest(note, needs());
  if (found) note_other_program(*found, observer);
  at::Tensor first = at::empty_like(parameters), second = at::empty_like(parameters);
  if (found) {
    numbers = {1.0 * found->step,
               1.0 * found->counter("epoch"),
               1.0 * found->counter("position"),
               1.0 * found->counter("updates"),
               1.0 * found->counter("bad_steps"),
               1.0 * found->counter("evaluations_since_best"),
               found->best_loss};
    parameters.copy_(found->tensor("parameters", parameters));
    first.copy_(found->tensor("first_moment", first));
    second.copy_(found->tensor("second_moment", second));
    if (best_.defined()) best_.copy_(found->tensor("best", best_));
  }
  parts_.ranks.expect_delay();  // rank 0 has read and verified
  numbers = parts_.ranks.gather_numbers(numbers).front();
  const auto whole = [&](size_t index) { return static_cast<int64_t>(numbers[index]); };
  if (whole(0) == 0) return 0;
  broadcast(parameters);
  broadcast(first);
  broadcast(second);
  if (best_.defined()) broadcast(best_);
  state_ = {whole(0), whole(4), whole(5), numbers[6]};
  sampler_.restore({whole(1), whole(2)});
  optimizer_.restore(first, second, whole(3));
  parts_.store.publish();
  saved_step_ = compared_step_ = state_.step;
  return state_.step;
}

}  // namespace radgpt
