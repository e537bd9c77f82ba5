#pragma once

#include <cstdint>

namespace radgpt {

/// How the learning rate goes on after warm-up.
enum class Schedule { kConstant, kLinear, kCosine };

/// Learning rate as a function of the step alone, so that a resumed run needs no state.
///
/// Steps 0 … warmup-1 rise linearly from peak / warmup to peak. Afterwards, with
/// x = (step - warmup) / (steps - warmup) in [0, 1):
///   constant  peak
///   linear    peak * (1 - x)
///   cosine    peak * (1 + cos(pi x)) / 2
class LearningRate {
 public:
  /// `warmup_fraction` of the `steps` of the run, rounded up, are warm-up.
  LearningRate(Schedule schedule, double peak, double warmup_fraction, int64_t steps);
  /// The rate of the update that is made at `step`, the first of which is 0.
  double at(int64_t step) const;

 private:
  Schedule schedule_;
  double peak_;
  int64_t warmup_;
  int64_t steps_;
};

}  // namespace radgpt
