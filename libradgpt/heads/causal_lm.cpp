#include "libradgpt/heads/causal_lm.h"

#include <torch/types.h>

#include "libradgpt/ops/head_cross_entropy.h"

namespace radgpt {

int64_t CausalLmHead::terms(const Pack& pack) const {
  return static_cast<int64_t>(pack.target_rows.size());
}

HeadOutput CausalLmHead::forward(const at::Tensor& hidden, const Pack& pack, double divisor) const {
  if (pack.target_rows.empty()) return no_terms(hidden);
  const at::Tensor targets = at::tensor(pack.targets, at::kLong);
  const at::Tensor loss =
      head_cross_entropy(read_rows(hidden, pack), model_.head(), targets, divisor);
  return {.loss = loss, .loss_sum = loss.item<double>() * divisor, .terms = terms(pack)};
}

}  // namespace radgpt
