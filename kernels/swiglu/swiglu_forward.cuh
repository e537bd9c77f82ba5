#pragma once

#include <cmath>

#include "kernels/lora_linear/bordered_input.cuh"
#include "kernels/swiglu/swiglu.h"

namespace radgpt::kernels {

RADGPT_DEVICE float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

/// silu(gate) * up of two values.
RADGPT_DEVICE uint32_t swiglu_pair(uint32_t gate, uint32_t up) {
  const float low = low_bfloat16(gate), high = high_bfloat16(gate);
  return pack_bfloat16(low * sigmoid(low) * low_bfloat16(up),
                       high * sigmoid(high) * high_bfloat16(up));
}

struct SwigluSource {
  const BFloat16* gate_up;
  int columns;

  RADGPT_DEVICE Words4 values(int, int64_t row, int column) const {
    const BFloat16* gate_at = gate_up + row * 2 * columns + column;
    const Words4 gate = load_once(gate_at), up = load_once(gate_at + columns);
    Words4 y;
#pragma unroll
    for (int c = 0; c < 4; ++c) y.word[c] = swiglu_pair(gate.word[c], up.word[c]);
    return y;
  }
};

template <int kAdapters, int kTiles>
RADGPT_KERNEL(kBlockThreads, blocks_for(kAdapters* kTiles))
void swiglu_forward_kernel(SwigluForward<BFloat16> call) {
  const int columns = static_cast<int>(call.columns);
  write_bordered_rows<kAdapters, kTiles>(
      SwigluSource{call.gate_up, columns},
      {call.rows, columns, call.y, call.y_stride, static_cast<int>(call.border)}, call.inputs,
      static_cast<int64_t>(blockIdx.x) * kRowsPerBlock);
}

}  // namespace radgpt::kernels
