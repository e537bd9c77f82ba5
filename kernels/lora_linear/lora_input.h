#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/primitives/adapter_inputs.h"
#include "kernels/primitives/stream.h"
#include "kernels/primitives/workers.h"

namespace radgpt::kernels {

/// What the adapters of a linear layer read of an input that no kernel of ours wrote, in one pass:
///
///   y[:, :columns]                   = x
///   y[:, columns : columns + border] = S = dropout(x) A^T for each adapter, zero elsewhere
template <typename T>
struct LoraInputForward {
  int64_t rows = 0;
  int64_t columns = 0;
  const T* x = nullptr;  ///< [rows, columns]
  T* y = nullptr;        ///< [rows, columns + border], row stride y_stride
  int64_t y_stride = 0;
  int64_t border = 0;
  AdapterInputs<T> inputs;
};

/// For T float, double, BFloat16.
template <typename T>
void lora_input_forward_cpu(const LoraInputForward<T>& call, const Workers& workers);

/// On device memory; enqueues on `stream` and does not wait. Columns, strides and border are
/// multiples of 8 and all arrays 16-byte aligned. Throws Error kInput otherwise, kEnvironment when
/// the launch fails.
void lora_input_forward_cuda(const LoraInputForward<BFloat16>& call, Stream stream);

/// From the gradient dX0 of x without its adapters' share:
///
///   dx = dX0 + sum over adapters of mask (dS A) / (1 - dropout)       dA = dS^T dropout(x)
template <typename T>
struct LoraInputBackward {
  int64_t rows = 0;
  int64_t columns = 0;
  const T* x = nullptr;   ///< [rows, columns]
  const T* dy = nullptr;  ///< dX0 [rows, columns], row stride dy_stride; null: only dA is wanted
  int64_t dy_stride = 0;
  T* dx = nullptr;  ///< [rows, columns], may be dy itself; null exactly when dy is
  AdapterInputs<T> inputs;
  AdapterGradients<T> gradients;
};

/// Sums over rows in an order that the number of workers does not change.
template <typename T>
void lora_input_backward_cpu(const LoraInputBackward<T>& call, const Workers& workers);

/// As lora_input_forward_cuda. Bitwise repeatable.
void lora_input_backward_cuda(const LoraInputBackward<BFloat16>& call, Workspace workspace,
                              Stream stream);
/// Bytes of workspace that lora_input_backward_cuda needs for a call.
size_t lora_input_backward_workspace(const LoraInputBackward<BFloat16>& call);

}  // namespace radgpt::kernels
