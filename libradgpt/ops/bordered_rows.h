#pragma once

#include <ATen/core/Tensor.h>

#include "libradgpt/ops/bordered_product.h"

namespace radgpt {

// The passes over rows around the big products of bordered_product.cpp: each is one call of a
// kernel, with all of LibTorch's threads.

/// [X | S]: [rows, in + used_border], contiguous. Sets product.input.inverse_rms if the input is
/// normed.
at::Tensor write_bordered_input(BorderedProduct& product);

/// From `d` = [dX0 | dS], or dS alone when neither source nor norm is wanted, the gradients of
/// source, norm and a.
ProductGradients backward_rows(const BorderedProduct& product, const at::Tensor& d,
                               const ProductNeeds& needs);

/// scale * dy^T S per pair, in the type of sums: [rows of the pair, rank].
///
///   dy  [rows, out]   contiguous
std::vector<at::Tensor> b_gradients(const BorderedProduct& product, const at::Tensor& dy);

}  // namespace radgpt
