#include "libradgpt/heads/causal_lm.h"

#include <torch/types.h>

#include <numeric>

#include "libradgpt/ops/head_cross_entropy.h"

namespace radgpt {

int64_t CausalLmHead::terms(const Pack& pack) const {
  return static_cast<int64_t>(pack.target_rows.size());
}

double CausalLmHead::weight(const Pack& pack) const {
  if (pack.target_weights.empty()) return static_cast<double>(pack.targets.size());
  return std::accumulate(pack.target_weights.begin(), pack.target_weights.end(), 0.0);
}

HeadOutput CausalLmHead::forward(const at::Tensor& hidden, const Pack& pack, double divisor) const {
  if (pack.target_rows.empty()) return no_terms(hidden);
  const at::Tensor targets = at::tensor(pack.targets, at::kLong);
  const at::Tensor loss = head_cross_entropy(read_rows(hidden, pack), model_.head(), targets,
                                             divisor, pack.target_weights);
  return {.loss = loss, .loss_sum = loss.item<double>() * divisor, .terms = terms(pack)};
}

}  // namespace radgpt
