#pragma once

#include <ATen/core/Tensor.h>

#include "libradgpt/ops/bordered_product.h"

namespace radgpt {

// The passes over rows around the big products of bordered_product.cpp: each is one call of a
// kernel, with all of LibTorch's threads.

/// [X | S]: [rows, in + used_border], rows one after the other on a CPU, in whole tiles of
/// kBorderTile columns on a GPU. If the input is normed, adds its branch and sets its inverse_rms.
at::Tensor write_bordered_input(BorderedProduct& product);

/// What the adapters take from dy [rows, out], contiguous.
struct OutputGradients {
  at::Tensor ds;              ///< [rows, used_border] dy (scale B)
  std::vector<at::Tensor> b;  ///< per pair scale dy^T S, in the type of sums: [rows of it, rank]
};
OutputGradients output_gradients(const BorderedProduct& product, const at::Tensor& dy);

/// The gradients of source, norm and a, from dX0 = dy W, which is undefined where neither source
/// nor norm is wanted and which the result may take over, dS, undefined without pairs, and
/// `sum_gradient` as bordered_backward has it.
ProductGradients input_gradients(const BorderedProduct& product, const at::Tensor& dx0,
                                 const at::Tensor& ds, const at::Tensor& sum_gradient,
                                 const ProductNeeds& needs);

}  // namespace radgpt
