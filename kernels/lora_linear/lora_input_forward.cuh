#pragma once

#include "kernels/lora_linear/bordered_input.cuh"
#include "kernels/lora_linear/lora_input.h"

namespace radgpt::kernels {

struct CopiedSource {
  const BFloat16* x;
  int columns;

  RADGPT_DEVICE Words4 values(int, int64_t row, int column) const {
    return load_once(x + row * columns + column);
  }
};

template <int kAdapters, int kTiles>
RADGPT_KERNEL(kBlockThreads, blocks_for(kAdapters* kTiles))
void lora_input_forward_kernel(LoraInputForward<BFloat16> call) {
  const int columns = static_cast<int>(call.columns);
  write_bordered_rows<kAdapters, kTiles>(
      CopiedSource{call.x, columns},
      {call.rows, columns, call.y, call.y_stride, static_cast<int>(call.border)}, call.inputs,
      static_cast<int64_t>(blockIdx.x) * kRowsPerBlock);
}

}  // namespace radgpt::kernels
