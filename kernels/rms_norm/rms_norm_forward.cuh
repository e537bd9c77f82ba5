#pragma once

#include <cmath>

#include "kernels/lora_linear/bordered_input.cuh"
#include "kernels/rms_norm/rms_norm.h"

namespace radgpt::kernels {

/// cast(x rms^-1) * weight, for two values.
RADGPT_DEVICE uint32_t normalised_pair(uint32_t x, uint32_t weight, float inverse_rms) {
  const uint32_t n = pack_bfloat16(low_bfloat16(x) * inverse_rms, high_bfloat16(x) * inverse_rms);
  return pack_bfloat16(low_bfloat16(n) * low_bfloat16(weight),
                       high_bfloat16(n) * high_bfloat16(weight));
}

RADGPT_DEVICE Words4 normalised(const Words4& x, const Words4& weight, float inverse_rms) {
  Words4 y;
#pragma unroll
  for (int c = 0; c < 4; ++c) y.word[c] = normalised_pair(x.word[c], weight.word[c], inverse_rms);
  return y;
}

/// x + residual, rounded, written to `sum`.
RADGPT_DEVICE Words4 add_residual(const RmsNormForward<BFloat16>& call, const Words4& x,
                                  int64_t at) {
  const Words4 residual = load_once(call.residual + at);
  Words4 sum;
#pragma unroll
  for (int c = 0; c < 4; ++c) {
    sum.word[c] = pack_bfloat16(low_bfloat16(x.word[c]) + low_bfloat16(residual.word[c]),
                                high_bfloat16(x.word[c]) + high_bfloat16(residual.word[c]));
  }
  store(call.sum + at, sum);
  return sum;
}

/// 1 / rms of the block's rows, two a warp, into shared and global memory.
RADGPT_DEVICE void write_inverse_rms(const RmsNormForward<BFloat16>& call, int64_t first_row,
                                     float* inverse_rms) {
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int r = warp; r < kRowsPerBlock && first_row + r < call.rows; r += kBlockWarps) {
    const int64_t row = first_row + r;
    float squares = 0.0f;
    for (int64_t column = 8 * lane; column < call.columns; column += 8 * kWarp) {
      const int64_t at = row * call.columns + column;
      Words4 x = load<Words4>(call.x + at);
      if (call.residual != nullptr) x = add_residual(call, x, at);
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        const float low = low_bfloat16(x.word[c]), high = high_bfloat16(x.word[c]);
        squares += low * low + high * high;
      }
    }
    const float mean = warp_sum(squares) / static_cast<float>(call.columns);
    if (lane == 0) {
      inverse_rms[r] = 1.0f / sqrtf(mean + static_cast<float>(call.epsilon));
      store(call.inverse_rms + row, inverse_rms[r]);
    }
  }
}

struct RmsNormSource {
  const BFloat16* x;
  const BFloat16* weight;
  const float* inverse_rms;  ///< of the block's rows, in shared memory
  int columns;

  RADGPT_DEVICE Words4 values(int row_of_block, int64_t row, int column) const {
    return normalised(load<Words4>(x + row * columns + column), load<Words4>(weight + column),
                      inverse_rms[row_of_block]);
  }
};

// Sixteen rows a block: first their root mean squares, then, from the cache, y and S. So x is read
// from memory once, whatever its width, and no row has to fit in shared memory.
template <int kAdapters, int kTiles>
RADGPT_KERNEL(kBlockThreads, blocks_for(kAdapters* kTiles))
void rms_norm_forward_kernel(RmsNormForward<BFloat16> call) {
  RADGPT_SHARED(float, inverse_rms, kRowsPerBlock);
  const int64_t first_row = static_cast<int64_t>(blockIdx.x) * kRowsPerBlock;
  write_inverse_rms(call, first_row, inverse_rms);
  barrier();
  const RmsNormSource source{call.residual != nullptr ? call.sum : call.x, call.weight, inverse_rms,
                             static_cast<int>(call.columns)};
  write_bordered_rows<kAdapters, kTiles>(source,
                                         {call.rows, static_cast<int>(call.columns), call.y,
                                          call.y_stride, static_cast<int>(call.border)},
                                         call.inputs, first_row);
}

}  // namespace radgpt::kernels
