#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "libradgpt/ops/lanes.h"
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
  at::Tensor source;       ///< contiguous
  NormWeight norm;         ///< kRmsNorm only
  at::Tensor inverse_rms;  ///< kRmsNorm only: [rows] in the type of sums, made by the constructor

  static InputSource plain(const at::Tensor& x);
  static InputSource rms_norm(const at::Tensor& x, const NormWeight& norm);
  static InputSource swiglu(const at::Tensor& gate_up);

  int64_t rows() const { return source.size(0); }
  int64_t columns() const { return source.size(1) / (kind == InputKind::kSwiglu ? 2 : 1); }
};

/// The same, row by row, for tensors of type T. Rows may be worked on by several threads at a time.
template <typename T>
class LinearInput {
 public:
  virtual ~LinearInput() = default;
  /// Writes row `row` of X.
  virtual void write_row(int64_t row, T* x) const = 0;
  /// From the gradient of row `row` of X: writes that row of the source's gradient and adds to the
  /// gradient of the norm weight. `norm_gradient` may be null, `source_gradient` not.
  virtual void backward_row(int64_t row, const Compute<T>* gradient, T* source_gradient,
                            Compute<T>* norm_gradient) const = 0;
};

template <typename T>
std::unique_ptr<LinearInput<T>> make_linear_input(const InputSource& source);

/// One file each; `source` outlives the result.
template <typename T>
std::unique_ptr<LinearInput<T>> make_rms_norm_input(const InputSource& source);
template <typename T>
std::unique_ptr<LinearInput<T>> make_swiglu_input(const InputSource& source);

}  // namespace radgpt
