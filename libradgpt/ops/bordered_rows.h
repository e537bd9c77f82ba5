#pragma once

#include <ATen/core/Tensor.h>

#include "libradgpt/ops/bordered_product.h"

namespace radgpt {

// The passes over rows around the big products of bordered_product.cpp: each is one call of a
// kernel, with all of LibTorch's threads.

/// [X | S]: [rows, in + used_border], rows one after the other on a CPU, in whole tiles of
/// kBorderTile columns on a GPU. Sets product.input.inverse_rms if the input is normed.
at::Tensor write_bordered_input(BorderedProduct& product);

/// What the big product and the pairs say of the gradient of [X | S]; rows have strides.
struct InputGradient {
  at::Tensor x;  ///< dX0 [rows, in]; undefined when neither source nor norm is wanted
  at::Tensor s;  ///< dS [rows, used border columns]; undefined without pairs
};

/// The gradients of source, norm and a.
ProductGradients backward_rows(const BorderedProduct& product, const InputGradient& gradient,
                               const ProductNeeds& needs);

/// What a linear layer's pairs take from dy [rows, out], contiguous, in one pass.
struct OutputGradients {
  at::Tensor s;               ///< dS; undefined if not asked for
  std::vector<at::Tensor> b;  ///< scale * dy^T S per pair, in the type of sums
};
enum class WithS { kNo, kYes };
OutputGradients output_gradients(const BorderedProduct& product, const at::Tensor& dy,
                                 WithS with_s);

}  // namespace radgpt
