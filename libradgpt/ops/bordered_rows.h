#pragma once

#include <ATen/core/Tensor.h>

#include "libradgpt/ops/bordered_product.h"

namespace radgpt {

// The passes over rows around the big products of bordered_product.cpp. Each works on a few rows
// at a time while they are in cache, on all threads, and sums in an order that the number of
// threads does not change.

/// [X | S]: [rows, in + used_border], contiguous.
at::Tensor write_bordered_input(const BorderedProduct& product);

/// From `d` = [dX0 | dS], or dS alone when neither source nor norm is wanted, the gradients of
/// source, norm and a.
ProductGradients backward_rows(const BorderedProduct& product, const at::Tensor& d,
                               const ProductNeeds& needs);

/// scale * dy^T S of the rows of `pair`, in the type of sums: [rows of the pair, rank].
///
///   dy      [rows, out]   contiguous
///   border  [rows, used border columns]   contiguous
at::Tensor b_gradient(const at::Tensor& dy, const at::Tensor& border, const LoraPair& pair);

}  // namespace radgpt
