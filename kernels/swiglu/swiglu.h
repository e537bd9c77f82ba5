#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/primitives/adapter_inputs.h"
#include "kernels/primitives/stream.h"
#include "kernels/primitives/workers.h"

namespace radgpt::kernels {

/// SwiGLU, and what the adapters of the linear layer behind it read, in one pass over gate and up:
///
///   y[:, :columns]                   = silu(gate) * up
///   y[:, columns : columns + border] = S = dropout(y) A^T for each adapter, zero elsewhere
template <typename T>
struct SwigluForward {
  int64_t rows = 0;
  int64_t columns = 0;
  const T* gate_up = nullptr;  ///< [rows, 2 columns]: gate in the left half, up in the right
  T* y = nullptr;              ///< [rows, columns + border], row stride y_stride
  int64_t y_stride = 0;
  int64_t border = 0;
  AdapterInputs<T> inputs;
};

/// For T float, double, BFloat16.
template <typename T>
void swiglu_forward_cpu(const SwigluForward<T>& call, const Workers& workers);

/// On device memory; enqueues on `stream` and does not wait. Columns, strides and border are
/// multiples of 8 and all arrays 16-byte aligned. Adapters have up to 64 ranks, two of them up to
/// 32 each, three up to 16. Throws Error kInput otherwise, kEnvironment when the launch fails.
void swiglu_forward_cuda(const SwigluForward<BFloat16>& call, Stream stream);

/// From the gradient dY0 of y without its adapters' share, with s = sigmoid(gate):
///
///   dY  = dY0 + sum over adapters of mask (dS A) / (1 - dropout)
///   dup = dY gate s       dgate = dY up s (1 + gate (1 - s))       dA = dS^T dropout(y)
///
/// in one pass; y is computed anew.
template <typename T>
struct SwigluBackward {
  int64_t rows = 0;
  int64_t columns = 0;
  const T* gate_up = nullptr;  ///< [rows, 2 columns]
  const T* dy = nullptr;       ///< dY0 [rows, columns], row stride dy_stride; null: only dA
  int64_t dy_stride = 0;
  T* d_gate_up = nullptr;  ///< [rows, 2 columns], may be gate_up itself; null exactly when dy is
  AdapterInputs<T> inputs;
  AdapterGradients<T> gradients;
};

/// Sums over rows in an order that the number of workers does not change.
template <typename T>
void swiglu_backward_cpu(const SwigluBackward<T>& call, const Workers& workers);

/// As swiglu_forward_cuda. Bitwise repeatable.
void swiglu_backward_cuda(const SwigluBackward<BFloat16>& call, Workspace workspace, Stream stream);
/// Bytes of workspace that swiglu_backward_cuda needs for a call.
size_t swiglu_backward_workspace(const SwigluBackward<BFloat16>& call);

}  // namespace radgpt::kernels
