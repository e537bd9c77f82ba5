#pragma once

#include "libradgpt/heads/head.h"

namespace radgpt {

/// Next-token prediction: the terms are the pack's targets, and only their rows meet the
/// vocabulary. Each term is -log softmax(hidden_row normalised(lm_head)^T)[target].
class CausalLmHead : public Head {
 public:
  explicit CausalLmHead(const HeadContext& context) : model_(context.model) {}

  int64_t terms(const Pack& pack) const override;
  double weight(const Pack& pack) const override;
  std::vector<int64_t> rows(const Pack& pack) const override { return pack.target_rows; }
  HeadOutput forward(const at::Tensor& hidden, const Pack& pack, double divisor) const override;

 private:
  const Baichuan& model_;
};

}  // namespace radgpt
