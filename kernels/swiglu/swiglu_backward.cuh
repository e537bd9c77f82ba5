#pragma once

#include "kernels/lora_linear/input_backward.cuh"
#include "kernels/swiglu/swiglu_forward.cuh"

namespace radgpt::kernels {

struct SwigluBackwardSource {
  const BFloat16* gate_up;
  BFloat16* d_gate_up;
  int columns;

  static constexpr bool kWritesGradient = true;
  struct Part {
    Words4 gate;
    Words4 up;
  };

  RADGPT_DEVICE Part load(int64_t row, int column) const {
    const BFloat16* gate_at = gate_up + row * 2 * columns + column;
    return {load_once(gate_at), load_once(gate_at + columns)};
  }

  RADGPT_DEVICE Words4 values(const Part& part) const {
    Words4 y;
#pragma unroll
    for (int c = 0; c < 4; ++c) y.word[c] = swiglu_pair(part.gate.word[c], part.up.word[c]);
    return y;
  }

  RADGPT_DEVICE void write(const Part& part, const float (&gradient)[8], int64_t row,
                           int column) const {
    float gate[8], up[8], d_gate[8], d_up[8];
    widen(part.gate, gate);
    widen(part.up, up);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const float s = sigmoid(gate[i]);
      d_up[i] = gradient[i] * gate[i] * s;
      d_gate[i] = gradient[i] * up[i] * s * (1.0f + gate[i] * (1.0f - s));
    }
    BFloat16* at = d_gate_up + row * 2 * columns + column;
    store(at, packed(d_gate));
    store(at + columns, packed(d_up));
  }
};

// Gradients of gate and up and the sums for dA in one pass: y never exists again in memory.
template <int kAdapters, int kTiles>
RADGPT_KERNEL(kBlockThreads, blocks_for(kAdapters* kTiles))
void swiglu_backward_kernel(SwigluBackward<BFloat16> call, InputBackward backward) {
  input_backward<kAdapters, kTiles>(
      SwigluBackwardSource{call.gate_up, call.d_gate_up, static_cast<int>(call.columns)}, backward,
      call.inputs);
}

}  // namespace radgpt::kernels
