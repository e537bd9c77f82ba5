#pragma once

#include "kernels/primitives/device.cuh"

namespace radgpt::kernels {

// What several kernels do with the values of a lane or a warp.

RADGPT_DEVICE void widen(const Words4& words, float (&values)[8]) {
#pragma unroll
  for (int c = 0; c < 4; ++c) {
    values[2 * c] = low_bfloat16(words.word[c]);
    values[2 * c + 1] = high_bfloat16(words.word[c]);
  }
}

RADGPT_DEVICE Words4 packed(const float (&values)[8]) {
  Words4 words;
#pragma unroll
  for (int c = 0; c < 4; ++c) words.word[c] = pack_bfloat16(values[2 * c], values[2 * c + 1]);
  return words;
}

/// The sum over the lanes of the warp, in a fixed order, in each of them.
template <typename V>
RADGPT_DEVICE V warp_sum(V value) {
#pragma unroll
  for (int mask = kWarp / 2; mask > 0; mask /= 2) value += shuffle_xor(value, mask);
  return value;
}

}  // namespace radgpt::kernels
