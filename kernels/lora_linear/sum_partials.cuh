#pragma once

#include "kernels/primitives/device.cuh"
#include "kernels/primitives/rounding.h"

namespace radgpt::kernels {

inline constexpr int kSumThreads = 256;

// The second stage of every sum over rows: block after block, in their order.
RADGPT_KERNEL(kSumThreads, 4)
static void sum_partials_kernel(const float* partial, int64_t count, int blocks, float factor,
                                float* result) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kSumThreads + threadIdx.x;
  if (i >= count) return;
  float sum = 0.0f;
  for (int block = 0; block < blocks; ++block) sum += load<float>(partial + block * count + i);
  store(result + i, sum * factor);
}

/// result[i] = factor * sum over blocks of partial[block, i], for `count` elements.
inline void sum_partials(const float* partial, int64_t count, int64_t blocks, float factor,
                         float* result, CUstream_st* stream) {
  launch("sum_partials", sum_partials_kernel, {.x = divide_up(count, kSumThreads)}, kSumThreads,
         stream, partial, count, static_cast<int>(blocks), factor, result);
}

}  // namespace radgpt::kernels
