#pragma once

#include "kernels/primitives/device.cuh"
#include "kernels/rope/rope.h"

namespace radgpt::kernels {

inline constexpr int kRopeThreads = 256;
inline constexpr int kRopeMostHeadDim = 512;

/// Two pairs: the low and the high values of both words.
RADGPT_DEVICE void rotate_two(uint32_t& lower, uint32_t& upper, const float* cosines,
                              const float* sines) {
  const float a0 = low_bfloat16(lower), a1 = high_bfloat16(lower);
  const float b0 = low_bfloat16(upper), b1 = high_bfloat16(upper);
  lower = pack_bfloat16(a0 * cosines[0] - b0 * sines[0], a1 * cosines[1] - b1 * sines[1]);
  upper = pack_bfloat16(b0 * cosines[0] + a0 * sines[0], b1 * cosines[1] + a1 * sines[1]);
}

/// One block a token: all its heads turn by the same angles, which are read once. A thread turns
/// the pairs of one V, four or eight, at a time.
template <typename V>
RADGPT_KERNEL(kRopeThreads, 1)
void rope_kernel(Rope<BFloat16> call) {
  RADGPT_SHARED(float, cosines, kRopeMostHeadDim / 2);
  RADGPT_SHARED(float, sines, kRopeMostHeadDim / 2);
  constexpr int kWords = sizeof(V) / sizeof(uint32_t), kPairs = 2 * kWords;
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t token = blockIdx.x;
  const int half = static_cast<int>(call.head_dim / 2);
  const float sign = call.direction == RopeDirection::kForward ? 1.0f : -1.0f;
  for (int i = thread; i < half; i += kRopeThreads) {
    const int64_t angles = load<int64_t>(call.positions + token) * half;
    cosines[i] = load<float>(call.cosines + angles + i);
    sines[i] = sign * load<float>(call.sines + angles + i);
  }
  barrier();
  const int steps = half / kPairs, q_and_k = 2 * static_cast<int>(call.heads);
  for (int item = thread; item < q_and_k * steps; item += kRopeThreads) {
    const int first = item % steps * kPairs;
    BFloat16* x = call.qkv + token * call.stride + item / steps * call.head_dim + first;
    V lower = load<V>(x), upper = load<V>(x + half);
#pragma unroll
    for (int word = 0; word < kWords; ++word) {
      rotate_two(lower.word[word], upper.word[word], cosines + first + 2 * word,
                 sines + first + 2 * word);
    }
    store(x, lower);
    store(x + half, upper);
  }
}

}  // namespace radgpt::kernels
