#pragma once

#include <cfloat>
#include <cmath>

#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/primitives/lane_values.cuh"

namespace radgpt::kernels {

inline constexpr int kCrossEntropyThreads = 1024;
static_assert(kCrossEntropyThreads == kWarp * kWarp, "a warp holds one value of each warp");

/// The sum of exponentials of some logits, relative to the largest of them, so that it cannot
/// overflow.
struct ExponentialSum {
  float largest = -FLT_MAX;  // not -infinity, whose difference to itself is NaN
  float sum = 0.0f;
};

RADGPT_DEVICE ExponentialSum joined(const ExponentialSum& a, const ExponentialSum& b) {
  const float largest = fmaxf(a.largest, b.largest);
  return {largest, a.sum * expf(a.largest - largest) + b.sum * expf(b.largest - largest)};
}

/// The sum of all lanes, in each of them.
RADGPT_DEVICE ExponentialSum joined_lanes(ExponentialSum part) {
#pragma unroll
  for (int mask = 1; mask < kWarp; mask *= 2) {
    part = joined(part, {shuffle_xor(part.largest, mask), shuffle_xor(part.sum, mask)});
  }
  return part;
}

RADGPT_DEVICE void include(ExponentialSum& part, const Words4& eight) {
  float values[8];
  widen(eight, values);
  float largest = part.largest;
#pragma unroll
  for (int i = 0; i < 8; ++i) largest = fmaxf(largest, values[i]);
  float sum = part.sum * expf(part.largest - largest);
#pragma unroll
  for (int i = 0; i < 8; ++i) sum += expf(values[i] - largest);
  part = {largest, sum};
}

/// The gradient of one logit, before it is rounded.
struct LogitGradient {
  float largest, share, factor;  // share = factor / sum of exponentials
  int target;

  RADGPT_DEVICE float at(int index, float logit) const {
    return expf(logit - largest) * share - (index == target ? factor : 0.0f);
  }
};

RADGPT_DEVICE void replace_eight(BFloat16* logits, int first, const LogitGradient& gradient) {
  Words4 eight = load<Words4>(logits + first);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    eight.word[i] = pack_bfloat16(gradient.at(first + 2 * i, low_bfloat16(eight.word[i])),
                                  gradient.at(first + 2 * i + 1, high_bfloat16(eight.word[i])));
  }
  store(logits + first, eight);
}

RADGPT_DEVICE float load_logit(const BFloat16* logit) {
  return word_as_float(static_cast<uint32_t>(load<uint16_t>(logit)) << 16);
}

/// One block a row. A thread takes every 1024th group of eight logits; the up to seven logits
/// behind the last group are taken by one thread each. The second pass goes backwards: what the
/// first read last is still in the cache.
static RADGPT_KERNEL(kCrossEntropyThreads,
                     1) void cross_entropy_kernel(CrossEntropy<BFloat16> call) {
  RADGPT_SHARED(float, largest_of_warp, kWarp);
  RADGPT_SHARED(float, sum_of_warp, kWarp);
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t row = blockIdx.x;
  BFloat16* logits = call.logits + row * call.stride;
  const int vocabulary = static_cast<int>(call.vocabulary), groups = vocabulary / 8;
  const int single = 8 * groups + thread;

  ExponentialSum part;
  for (int group = thread; group < groups; group += kCrossEntropyThreads) {
    include(part, load<Words4>(logits + 8 * group));
  }
  if (single < vocabulary) part = joined(part, {load_logit(logits + single), 1.0f});
  part = joined_lanes(part);
  if (thread % kWarp == 0) {
    largest_of_warp[thread / kWarp] = part.largest;
    sum_of_warp[thread / kWarp] = part.sum;
  }
  const int target = static_cast<int>(load<int64_t>(call.targets + row));
  const float target_logit = thread == 0 ? load_logit(logits + target) : 0.0f;
  barrier();  // from here on logits are replaced
  const ExponentialSum all =
      joined_lanes({largest_of_warp[thread % kWarp], sum_of_warp[thread % kWarp]});
  if (thread == 0) {
    store(call.log_probabilities + row, target_logit - (all.largest + logf(all.sum)));
  }
  if (call.factors == nullptr) return;

  const float factor = load<float>(call.factors + row);
  const LogitGradient gradient{all.largest, factor / all.sum, factor, target};
  if (single < vocabulary) {
    const float value = gradient.at(single, load_logit(logits + single));
    store(logits + single, static_cast<uint16_t>(pack_bfloat16(value, 0.0f)));
  }
  int group = (groups - 1) / kCrossEntropyThreads * kCrossEntropyThreads + thread;
  if (group >= groups) group -= kCrossEntropyThreads;
  for (; group >= 0; group -= kCrossEntropyThreads) replace_eight(logits, 8 * group, gradient);
}

}  // namespace radgpt::kernels
