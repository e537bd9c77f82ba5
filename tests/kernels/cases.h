#pragma once

#include <cstdint>
#include <vector>

#include "kernels/lora_linear/lora_input.h"
#include "kernels/lora_linear/lora_output.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/swiglu/swiglu.h"
#include "tests/kernels/call_memory.h"

namespace radgpt::kernels {

struct AdapterShape {
  int64_t rank = 8;
  double dropout = 0.0;
};

/// Sizes of a call of the three kernels that write the input of a linear layer.
struct InputShape {
  int64_t rows = 0;
  int64_t columns = 0;
  std::vector<AdapterShape> adapters;  ///< side by side in the border
  int64_t border = 0;                  ///< at least the sum of the ranks
  int64_t padding = 0;                 ///< further columns of the row strides of y, dy and dS
  bool residual = false;               ///< RMSNorm only
};

/// Sizes of a call of the kernel for the output of a linear layer. Adapter i has the i-th of
/// as many equal shares of the columns, the last what is left.
struct OutputShape {
  int64_t rows = 0;
  int64_t out_features = 0;
  std::vector<int64_t> ranks;
  int64_t border = 0;
  int64_t padding = 0;
  int64_t share_step = 1;  ///< shares are multiples of it
};

/// Calls with random inputs and all outputs, whose arrays `memory` owns. A test that wants less
/// sets pointers to null. For T float, double, BFloat16.
template <typename T>
struct Cases {
  static RmsNormForward<T> rms_norm_forward(CallMemory& memory, const InputShape& shape);
  /// inverse_rms and s are those of the forward pass.
  static RmsNormBackward<T> rms_norm_backward(CallMemory& memory, const InputShape& shape);
  static SwigluForward<T> swiglu_forward(CallMemory& memory, const InputShape& shape);
  static SwigluBackward<T> swiglu_backward(CallMemory& memory, const InputShape& shape);
  static LoraInputForward<T> lora_input_forward(CallMemory& memory, const InputShape& shape);
  static LoraInputBackward<T> lora_input_backward(CallMemory& memory, const InputShape& shape);
  static LoraOutputBackward<T> lora_output_backward(CallMemory& memory, const OutputShape& shape);
};

}  // namespace radgpt::kernels
