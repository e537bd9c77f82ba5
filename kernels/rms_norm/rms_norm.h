#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/primitives/adapter_inputs.h"
#include "kernels/primitives/stream.h"
#include "kernels/primitives/workers.h"

namespace radgpt::kernels {

/// RMSNorm, and what the adapters of the linear layer behind it read, in one pass over x:
///
///   x        = x + residual                                     (if residual is given)
///   rms^-1   = 1 / sqrt(mean(x^2) + epsilon)                    in the type of sums
///   y[:, :columns]                   = cast(x rms^-1) * weight  as Baichuan2 rounds
///   y[:, columns : columns + border] = S = dropout(y) A^T for each adapter, zero elsewhere
///
/// so that [y | S] meets a weight with a border in one matrix product. Rows are independent.
template <typename T>
struct RmsNormForward {
  int64_t rows = 0;
  int64_t columns = 0;
  const T* x = nullptr;         ///< [rows, columns]
  const T* residual = nullptr;  ///< [rows, columns] or null
  T* sum = nullptr;             ///< [rows, columns], x + residual; needed with residual
  const T* weight = nullptr;    ///< [columns]
  double epsilon = 1e-6;
  T* y = nullptr;  ///< [rows, columns + border], row stride y_stride
  int64_t y_stride = 0;
  int64_t border = 0;
  Compute<T>* inverse_rms = nullptr;  ///< [rows]
  AdapterInputs<T> inputs;
};

/// For T float, double, BFloat16.
template <typename T>
void rms_norm_forward_cpu(const RmsNormForward<T>& call, const Workers& workers);

/// On device memory; enqueues on `stream` and does not wait. Columns, strides and border are
/// multiples of 8 and all arrays 16-byte aligned. Throws Error kInput otherwise, kEnvironment when
/// the launch fails.
void rms_norm_forward_cuda(const RmsNormForward<BFloat16>& call, Stream stream);

/// From the gradient dY0 of y without its adapters' share:
///
///   dY = dY0 + sum over adapters of mask (dS A) / (1 - dropout)
///   g  = dY * weight,  n = x rms^-1
///   dx = (g - n mean(g n)) rms^-1 + residual_gradient       dA = dS^T dropout(y)
///   dweight = sum over rows of dY n
///
/// y is computed anew from x, masks from their counters.
template <typename T>
struct RmsNormBackward {
  int64_t rows = 0;
  int64_t columns = 0;
  const T* x = nullptr;                     ///< [rows, columns], with the residual in it
  const T* weight = nullptr;                ///< [columns]
  const Compute<T>* inverse_rms = nullptr;  ///< [rows]
  const T* dy = nullptr;  ///< dY0 [rows, columns], row stride dy_stride; null: only dA is wanted
  int64_t dy_stride = 0;
  const T* residual_gradient = nullptr;  ///< [rows, columns] or null
  T* dx = nullptr;                       ///< [rows, columns]; null exactly when dy is
  Compute<T>* dweight = nullptr;         ///< [columns], overwritten, or null
  /// S of the forward pass, [rows, border], row stride s_stride; only the GPU reads it: the sum
  /// of g n needs of the adapters' share no more than dS . S.
  const T* s = nullptr;
  int64_t s_stride = 0;
  AdapterInputs<T> inputs;
  AdapterGradients<T> gradients;
};

/// Sums over rows in an order that the number of workers does not change.
template <typename T>
void rms_norm_backward_cpu(const RmsNormBackward<T>& call, const Workers& workers);

/// As rms_norm_forward_cuda. Bitwise repeatable: sums are taken in a fixed order, without atomics.
void rms_norm_backward_cuda(const RmsNormBackward<BFloat16>& call, Workspace workspace,
                            Stream stream);
/// Bytes of workspace that rms_norm_backward_cuda needs for a call.
size_t rms_norm_backward_workspace(const RmsNormBackward<BFloat16>& call);

}  // namespace radgpt::kernels
