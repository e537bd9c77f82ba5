#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace radgpt {

/// The vocabulary product of Baichuan2 (NormHead): logits = hidden * normalised(W)^T.
struct HeadWeight {
  /// [vocabulary, hidden] rows of 2-norm 1, normalised in fp32 and rounded once.
  at::Tensor normalised;
  /// [vocabulary, hidden] fp32 leaf, not normalised, when the head is trained; else undefined. Its
  /// gradient goes through the normalisation: dW = (dN - N (N . dN)) / |W| per row.
  at::Tensor master;
};

/// sum_i weights_i * -log softmax(hidden_i normalised^T)[targets_i] / divisor, as a scalar fp32
/// tensor.
///
/// Works through the rows in chunks and makes the gradient in the forward pass (the backward pass
/// only scales it), so logits of one chunk exist at a time: Liger-style fused linear cross-entropy
/// (Hsu et al., arXiv 2410.10989) with a frozen head.
///
///   hidden   [rows, hidden]   only rows with a target; may be empty (result 0)
///   targets  [rows] int64, on the CPU, where they are checked, or on the device of hidden
///   weights  [rows], or empty for all 1
///
/// Throws Error(kInput) for a target on the CPU that is outside the vocabulary, and for a number of
/// targets or weights that is not that of the rows.
at::Tensor head_cross_entropy(const at::Tensor& hidden, const HeadWeight& weight,
                              const at::Tensor& targets, double divisor,
                              const std::vector<float>& weights = {});

/// hidden * normalised^T without gradient, fp32 [rows, vocabulary].
at::Tensor head_logits(const at::Tensor& hidden, const HeadWeight& weight);

/// log softmax(...)[targets_i] per row, fp32 [rows], no gradient, in chunks.
at::Tensor head_log_probabilities(const at::Tensor& hidden, const HeadWeight& weight,
                                  const at::Tensor& targets);

}  // namespace radgpt
