#pragma once

#include <ATen/core/Tensor.h>

#include "libradgpt/ops/lora_pair.h"

namespace radgpt {

/// A trained or frozen RMSNorm weight.
struct NormWeight {
  at::Tensor weight;  ///< [hidden] in the type of the model
  at::Tensor master;  ///< [hidden] fp32 leaf when trained, else undefined
  double epsilon = 1e-6;
};

/// y = RMSNorm(x + branch), with RMSNorm(x) = cast(x * rsqrt(mean(x^2) + epsilon)) * weight: the
/// mean and the quotient in fp32, the cast to the type of the weight before the product, as
/// Baichuan2 does.
///
///   x       [rows, hidden]   the residual stream
///   branch  [rows, hidden]   what the last layer adds to it; undefined: nothing
///   result  [rows, hidden]   type of x
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& branch, const NormWeight& norm);

/// y = x W^T + scale * dropout(x) A^T B^T for every pair of `weight`, as one product over the
/// border; then DoRA's factors of its columns, magnitude / row_norms, where pairs have them.
/// Gradients go to x, to a_master and b_master of the pairs, and to weight.master if set.
///
/// With pass.rows_of_choice every row takes the pairs of the adapter it chose instead, at the price
/// of a thin product for each adapter; that has no gradient, and no factors.
///
///   x       [rows, in]
///   result  [rows, out]   type of x
at::Tensor lora_linear(const at::Tensor& x, const BorderedWeight& weight, const LoraPass& pass);

/// What rms_norm_lora_linear gives.
struct NormedProduct {
  at::Tensor sum;  ///< [rows, in]   x + branch, or x itself without one
  at::Tensor y;    ///< [rows, out]
};

/// y = lora_linear(rms_norm(x, branch, norm), weight, pass) as one autograd node that keeps the sum
/// and 1/rms only. The gradient of the sum joins that of the norm inside the node, so that a stack
/// of layers needs no addition of its own in either direction.
NormedProduct rms_norm_lora_linear(const at::Tensor& x, const at::Tensor& branch,
                                   const NormWeight& norm, const BorderedWeight& weight,
                                   const LoraPass& pass);

/// lora_linear(silu(gate) * up, weight, pass) as one autograd node that keeps gate_up only.
///
///   gate_up  [rows, 2 * in]   gate in columns [0, in), up in [in, 2 * in)
///   result   [rows, out]
at::Tensor swiglu_lora_linear(const at::Tensor& gate_up, const BorderedWeight& weight,
                              const LoraPass& pass);

}  // namespace radgpt
