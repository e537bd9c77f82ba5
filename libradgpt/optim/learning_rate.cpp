#include "libradgpt/optim/learning_rate.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace radgpt {

LearningRate::LearningRate(Schedule schedule, double peak, double warmup_fraction, int64_t steps)
    : schedule_(schedule),
      peak_(peak),
      warmup_(static_cast<int64_t>(std::ceil(warmup_fraction * static_cast<double>(steps)))),
      steps_(steps) {}

double LearningRate::at(int64_t step) const {
  if (step < warmup_) return peak_ * static_cast<double>(step + 1) / static_cast<double>(warmup_);
  const double rest = static_cast<double>(std::max<int64_t>(steps_ - warmup_, 1));
  const double x = std::min(static_cast<double>(step - warmup_) / rest, 1.0);
  switch (schedule_) {
    case Schedule::kLinear:
      return peak_ * (1.0 - x);
    case Schedule::kCosine:
      return peak_ * 0.5 * (1.0 + std::cos(std::numbers::pi * x));
    case Schedule::kConstant:
      break;
  }
  return peak_;
}

}  // namespace radgpt
