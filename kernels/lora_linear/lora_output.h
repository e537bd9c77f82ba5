#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/primitives/adapter_inputs.h"
#include "kernels/primitives/stream.h"
#include "kernels/primitives/workers.h"

namespace radgpt::kernels {

/// One adapter at the output of a linear layer: rows [row_begin, row_end) of the weight, which are
/// columns of dY.
template <typename T>
struct AdapterOutput {
  int64_t row_begin = 0;
  int64_t row_end = 0;
  int64_t rank = 0;
  int64_t column = 0;  ///< of its S, dS and scale * B in the border
  double scale = 1.0;
  Compute<T>* db = nullptr;  ///< [row_end - row_begin, rank] contiguous, overwritten
};

/// Both gradients that a LoRA linear layer takes from dY, in one pass over dY:
///
///   dS = dY (scale B)       dB = scale dY^T S
///
/// with scale * B as it stands in the border of the weight. Adapters have column ranges of dY of
/// their own.
template <typename T>
struct LoraOutputBackward {
  int64_t rows = 0;
  int64_t out_features = 0;
  const T* dy = nullptr;  ///< [rows, out_features], contiguous
  const T* s = nullptr;   ///< [rows, border], row stride s_stride
  int64_t s_stride = 0;
  int64_t border = 0;                ///< columns of S and dS
  const T* weight_border = nullptr;  ///< [out_features, border] scale * B, row stride weight_stride
  int64_t weight_stride = 0;
  T* ds = nullptr;  ///< [rows, border], row stride ds_stride, zero where no adapter is
  int64_t ds_stride = 0;
  int count = 0;
  AdapterOutput<T> adapters[kMostAdapters];
};

/// For T float, double, BFloat16. Sums in the order of rows, whatever the number of workers.
template <typename T>
void lora_output_backward_cpu(const LoraOutputBackward<T>& call, const Workers& workers);

/// On device memory; enqueues on `stream` and does not wait. Row ranges, out_features, strides and
/// border are multiples of 8 and all arrays 16-byte aligned. Throws Error kInput otherwise,
/// kEnvironment when the launch fails. Bitwise repeatable: partial sums of fixed tiles are added in
/// a fixed order, without atomics.
void lora_output_backward_cuda(const LoraOutputBackward<BFloat16>& call, Workspace workspace,
                               Stream stream);
/// Bytes of workspace that lora_output_backward_cuda needs for a call.
size_t lora_output_backward_workspace(const LoraOutputBackward<BFloat16>& call);

}  // namespace radgpt::kernels
