#include "libradgpt/optim/adamw.h"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "libradgpt/base/error.h"

namespace radgpt {

namespace {

/// Work is cut into blocks of this size whatever the number of threads, so that an element always
/// meets the same vector instruction.
constexpr int64_t kBlock = 1 << 15;

int64_t block_count(int64_t count) { return (count + kBlock - 1) / kBlock; }

struct AdamWStep {
  float beta1, beta2, epsilon, keep, rate, second_correction, gradient_scale;
};

__attribute__((target_clones("avx512f", "avx2", "default"))) void update(
    const AdamWStep& step, int64_t count, const float* gradient, float* master, float* first,
    float* second) {
  for (int64_t i = 0; i < count; ++i) {
    const float g = gradient[i] * step.gradient_scale;
    first[i] = step.beta1 * first[i] + (1.0f - step.beta1) * g;
    second[i] = step.beta2 * second[i] + (1.0f - step.beta2) * g * g;
    const float deviation = std::sqrt(second[i] * step.second_correction) + step.epsilon;
    master[i] = master[i] * step.keep - step.rate * first[i] / deviation;
  }
}

__attribute__((target_clones("avx512f", "avx2", "default"))) double sum_of_squares(
    const float* values, int64_t count) {
  double lanes[8] = {};
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    for (int lane = 0; lane < 8; ++lane) {
      const double value = values[i + lane];
      lanes[lane] += value * value;
    }
  }
  for (; i < count; ++i) lanes[0] += static_cast<double>(values[i]) * values[i];
  double sum = 0.0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

}  // namespace

AdamW::AdamW(ParameterStore& store, const AdamWOptions& options)
    : store_(store),
      options_(options),
      first_moment_(at::zeros_like(store.flat())),
      second_moment_(at::zeros_like(store.flat())) {}

void AdamW::step(double learning_rate, double gradient_scale) {
  ++updates_;
  const double t = static_cast<double>(updates_);
  const double first_correction = 1.0 - std::pow(options_.beta1, t);
  AdamWStep step;
  step.beta1 = static_cast<float>(options_.beta1);
  step.beta2 = static_cast<float>(options_.beta2);
  step.epsilon = static_cast<float>(options_.epsilon);
  step.rate = static_cast<float>(learning_rate / first_correction);
  step.second_correction = static_cast<float>(1.0 / (1.0 - std::pow(options_.beta2, t)));
  step.gradient_scale = static_cast<float>(gradient_scale);

  const float* gradient = store_.flat_gradient().const_data_ptr<float>();
  float* master = store_.flat().data_ptr<float>();
  float* first = first_moment_.data_ptr<float>();
  float* second = second_moment_.data_ptr<float>();
  int64_t offset = 0;
  for (size_t index = 0; index < store_.size(); ++index) {
    const int64_t count = store_.master(index).numel();
    const bool decays = store_.spec(index).shape.size() >= 2;
    step.keep = decays ? static_cast<float>(1.0 - learning_rate * options_.weight_decay) : 1.0f;
    at::parallel_for(0, block_count(count), 1, [&](int64_t first_block, int64_t end_block) {
      for (int64_t block = first_block; block < end_block; ++block) {
        const int64_t begin = offset + block * kBlock;
        const int64_t length = std::min(kBlock, count - block * kBlock);
        update(step, length, gradient + begin, master + begin, first + begin, second + begin);
      }
    });
    offset += count;
  }
}

void AdamW::restore(const at::Tensor& first_moment, const at::Tensor& second_moment,
                    int64_t updates) {
  require(first_moment.numel() == first_moment_.numel() &&
              second_moment.numel() == second_moment_.numel(),
          "optimizer: moments must have ", first_moment_.numel(), " elements, got ",
          first_moment.numel(), " and ", second_moment.numel());
  first_moment_.copy_(first_moment);
  second_moment_.copy_(second_moment);
  updates_ = updates;
}

double gradient_norm(const at::Tensor& flat_gradient) {
  const int64_t count = flat_gradient.numel();
  const float* values = flat_gradient.const_data_ptr<float>();
  std::vector<double> sums(static_cast<size_t>(block_count(count)));
  at::parallel_for(0, static_cast<int64_t>(sums.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t first = block * kBlock;
      sums[static_cast<size_t>(block)] =
          sum_of_squares(values + first, std::min(kBlock, count - first));
    }
  });
  double total = 0.0;
  for (const double sum : sums) total += sum;
  return std::sqrt(total);
}

}  // namespace radgpt
