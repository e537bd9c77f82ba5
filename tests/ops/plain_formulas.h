#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "libradgpt/ops/head_cross_entropy.h"
#include "libradgpt/ops/lora_linear.h"
#include "libradgpt/ops/segment_attention.h"

namespace radgpt {

// Every composite op once more as a plain chain of LibTorch operations that autograd
// differentiates. They share no code with the ops and take any floating type.

/// [rows, columns] of 1 / (1 - dropout) and 0, dropout in steps of 2^-16, element by element from
/// philox().
at::Tensor plain_mask(const LoraPair& pair, const DropoutKey& key, int64_t rows, int64_t columns);

at::Tensor plain_rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon);

/// silu(left half) * right half
at::Tensor plain_swiglu(const at::Tensor& gate_up);

/// x W^T + scale * dropout(x) A^T B^T per pair, of the masters cast to the type of x. `w` is used
/// for W, so that it may be a leaf.
at::Tensor plain_lora_linear(const at::Tensor& x, const at::Tensor& w,
                             const std::vector<LoraPair>& pairs, const DropoutKey& key);

at::Tensor plain_attention(const at::Tensor& qkv, const at::Tensor& positions,
                           const std::vector<Segment>& segments, int64_t heads,
                           const PositionEncoding& encoding);

/// Of the head weight `w`, not normalised.
at::Tensor plain_cross_entropy(const at::Tensor& hidden, const at::Tensor& w,
                               const at::Tensor& targets, double divisor);

}  // namespace radgpt
