#pragma once

#include "kernels/lora_linear/input_backward.cuh"
#include "kernels/lora_linear/lora_input.h"

namespace radgpt::kernels {

struct PlainBackwardSource {
  const BFloat16* x;
  BFloat16* dx;
  int columns;

  static constexpr bool kWritesGradient = true;
  using Part = Words4;

  RADGPT_DEVICE Part load(int64_t row, int column) const {
    return load_once(x + row * columns + column);
  }
  RADGPT_DEVICE Words4 values(const Part& part) const { return part; }
  RADGPT_DEVICE void write(const Part&, const float (&gradient)[8], int64_t row, int column) const {
    store(dx + row * columns + column, packed(gradient));
  }
};

template <int kAdapters, int kTiles>
RADGPT_KERNEL(kBlockThreads, blocks_for(kAdapters* kTiles))
void lora_input_backward_kernel(LoraInputBackward<BFloat16> call, InputBackward backward) {
  input_backward<kAdapters, kTiles>(
      PlainBackwardSource{call.x, call.dx, static_cast<int>(call.columns)}, backward, call.inputs);
}

}  // namespace radgpt::kernels
