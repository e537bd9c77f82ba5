#include <torch/types.h>

#include <cmath>

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
  if (saved_step_ == state_.step) return;
  require_equal_states();
  saved_step_ = state_.step;
  save_time_ = std::chrono::steady_clock::now();
  if (parts_.checkpoints == nullptr) return;
  try {
    parts_.checkpoints->save(checkpoint());
    failed_saves_ = 0;
  } catch (const Error& error) {
    if (mode == Save::kMustSucceed || ++failed_saves_ == kMostFailedSaves) throw;
    observer.on_note(
        concat("no checkpoint of step ", state_.step, ", the one before stays: ", error.what()));
  }
}

/// Every rank has made the same updates of the same gradients; a fault of its memory would show.
void Trainer::require_equal_states() {
  if (parts_.ranks.size() == 1) return;
  const std::pair<const char*, const at::Tensor*> tensors[] = {
      {"parameters", &parts_.store.flat()},
      {"first moments", &optimizer_.first_moment()},
      {"second moments", &optimizer_.second_moment()}};
  for (const auto& [name, tensor] : tensors) {
    parts_.ranks.require_same(concat(name, " after step ", state_.step), digest_of(*tensor),
                              ErrorKind::kDivergence);
  }
}

Checkpoint Trainer::checkpoint() const {
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
  return checkpoint;
}

void Trainer::broadcast(const at::Tensor& tensor) { parts_.ranks.broadcast(tensor).wait(); }

int64_t Trainer::resume(RunObserver& observer) {
  const at::NoGradGuard no_grad;
  std::optional<Checkpoint> found;
  std::vector<double> numbers(7, 0.0);
  const auto note = [&observer](const std::string& line) { observer.on_note(line); };
  if (parts_.checkpoints != nullptr) found = parts_.checkpoints->load_newest(note);
  at::Tensor parameters = parts_.store.flat();
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
  saved_step_ = state_.step;
  return state_.step;
}

}  // namespace radgpt
