#pragma once

#include <cmath>

#include "kernels/adamw/adamw.h"
#include "kernels/primitives/lane_values.cuh"

namespace radgpt::kernels {

inline constexpr int kNormThreads = 256;
inline constexpr int64_t kNormBlock = 1 << 14;

/// The sum over the threads of the block, in a fixed order; thread 0 has it.
RADGPT_DEVICE double sum_of_block(double value, double* of_warp) {
  value = warp_sum(value);
  if (threadIdx.x % kWarp == 0) of_warp[threadIdx.x / kWarp] = value;
  barrier();
  double sum = 0.0;
  for (int warp = 0; warp < kNormThreads / kWarp; ++warp) sum += of_warp[warp];
  return sum;
}

static RADGPT_KERNEL(kNormThreads, 1) void squares_kernel(const float* values, int64_t count,
                                                          double* sums) {
  RADGPT_SHARED(double, of_warp, kNormThreads / kWarp);
  const int64_t begin = blockIdx.x * kNormBlock;
  const int64_t end = begin + kNormBlock < count ? begin + kNormBlock : count;
  double sum = 0.0;
  for (int64_t i = begin + 4 * threadIdx.x; i < end; i += 4 * kNormThreads) {
    float four[4] = {};
    if (i + 4 <= end) {
      const Words4 words = load<Words4>(values + i);
#pragma unroll
      for (int j = 0; j < 4; ++j) four[j] = word_as_float(words.word[j]);
    } else {
#pragma unroll
      for (int j = 0; j < 4; ++j) four[j] = i + j < end ? load<float>(values + i + j) : 0.0f;
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) sum += static_cast<double>(four[j]) * four[j];
  }
  sum = sum_of_block(sum, of_warp);
  if (threadIdx.x == 0) store(sums + blockIdx.x, sum);
}

/// One block: the root of the sum of `count` sums.
static RADGPT_KERNEL(kNormThreads, 1) void norm_kernel(const double* sums, int64_t count,
                                                       double* norm) {
  RADGPT_SHARED(double, of_warp, kNormThreads / kWarp);
  double sum = 0.0;
  for (int64_t i = threadIdx.x; i < count; i += kNormThreads) sum += load<double>(sums + i);
  sum = sum_of_block(sum, of_warp);
  if (threadIdx.x == 0) store(norm, sqrt(sum));
}

}  // namespace radgpt::kernels
