#pragma once

#include <ATen/core/Tensor.h>

#include "libradgpt/ops/lora_linear.h"

namespace radgpt {

/// How the input X of a linear layer follows from the tensor that its node keeps.
enum class InputKind {
  kPlain,    ///< X = source
  kRmsNorm,  ///< X = RMSNorm(source)
  kSwiglu    ///< X = silu(left half of source) * right half
};

/// What a node keeps of its input, in any type.
struct InputSource {
  InputKind kind = InputKind::kPlain;
  at::Tensor source;  ///< contiguous
  // kRmsNorm only:
  NormWeight norm;
  /// Like source, or undefined. The forward pass adds it: source is then the sum, and this gone.
  at::Tensor branch;
  at::Tensor inverse_rms;  ///< [rows] in the type of sums, from the forward pass

  static InputSource plain(const at::Tensor& x);
  static InputSource rms_norm(const at::Tensor& x, const at::Tensor& branch,
                              const NormWeight& norm);
  static InputSource swiglu(const at::Tensor& gate_up);

  int64_t rows() const { return source.size(0); }
  int64_t columns() const { return source.size(1) / (kind == InputKind::kSwiglu ? 2 : 1); }
};

}  // namespace radgpt
