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

/// y = RMSNorm(x): y = cast(x * rsqrt(mean(x^2) + epsilon)) * weight, with the mean and the
/// quotient in fp32 and the cast to the type of the weight before the product, as Baichuan2 does.
///
///   x       [rows, hidden]
///   result  [rows, hidden]   type of x
at::Tensor rms_norm(const at::Tensor& x, const NormWeight& norm);

/// y = x W^T + scale * dropout(x) A^T B^T for every pair of `weight`, as one product over the
/// border. Gradients go to x, to a_master and b_master of the pairs, and to weight.master if set.
///
///   x       [rows, in]
///   result  [rows, out]   type of x
at::Tensor lora_linear(const at::Tensor& x, const BorderedWeight& weight, const DropoutKey& key);

/// lora_linear(rms_norm(x, norm), weight, key) as one autograd node that keeps x and 1/rms only.
at::Tensor rms_norm_lora_linear(const at::Tensor& x, const NormWeight& norm,
                                const BorderedWeight& weight, const DropoutKey& key);

/// lora_linear(silu(gate) * up, weight, key) as one autograd node that keeps gate_up only.
///
///   gate_up  [rows, 2 * in]   gate in columns [0, in), up in [in, 2 * in)
///   result   [rows, out]
at::Tensor swiglu_lora_linear(const at::Tensor& gate_up, const BorderedWeight& weight,
                              const DropoutKey& key);

}  // namespace radgpt
