#include "libradgpt/export/merge_check.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>

#include "libradgpt/base/error.h"
#include "libradgpt/data/task.h"
#include "libradgpt/ops/head_cross_entropy.h"

namespace radgpt {
namespace {

/// Largest difference of logits that rounding the merged weights once may make, as a share of the
/// largest logit: some dozens of roundings of 2^-24, or of 2^-9.
double largest_share(at::ScalarType type) { return type == at::kFloat ? 1e-4 : 0.05; }

std::vector<Pack> probe_prompts(const Tokenizer& tokenizer, int64_t most_tokens) {
  std::vector<Pack> packs;
  for (const Task& task : default_tasks()) {
    std::vector<int32_t> ids = tokenizer.encode(
        "影像所见：双肺纹理增多，右肺上叶见磨玻璃结节，大小约8mm×6mm。\n" + task.question);
    ids.insert(ids.begin(), kUserId);
    ids.resize(std::min<size_t>(ids.size(), static_cast<size_t>(most_tokens) - 1));
    ids.push_back(kAssistantId);
    Pack pack;
    pack.tokens.assign(ids.begin(), ids.end());
    for (int64_t i = 0; i < pack.size(); ++i) pack.positions.push_back(i);
    pack.segments = {{.begin = 0, .end = static_cast<int32_t>(pack.size())}};
    packs.push_back(std::move(pack));
  }
  return packs;
}

std::vector<at::Tensor> logits_of(const Baichuan& model, const std::vector<Pack>& prompts) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> logits;
  for (const Pack& prompt : prompts) {
    logits.push_back(head_logits(model.forward(prompt, {}), model.head()));
  }
  return logits;
}

/// NaN if any number is.
double largest(const std::vector<at::Tensor>& tensors) {
  double value = 0;
  for (const at::Tensor& one : tensors) {
    const double here = one.abs().max().item<double>();
    if (std::isnan(here)) return here;
    value = std::max(value, here);
  }
  return value;
}

double largest_difference(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  std::vector<at::Tensor> differences;
  for (size_t i = 0; i < a.size(); ++i) differences.push_back(a[i] - b[i]);
  return largest(differences);
}

}  // namespace

MergeCheck merge_and_check(Baichuan& model, Adapter& adapter, const Tokenizer& tokenizer,
                           const std::string& where) {
  const std::vector<Pack> prompts = probe_prompts(tokenizer, model.config().model_max_length);
  const std::vector<at::Tensor> adapted = logits_of(model, prompts);
  adapter.disable();
  const std::vector<at::Tensor> base = logits_of(model, prompts);
  adapter.merge();
  MergeCheck check;
  check.moved = largest_difference(adapted, base);
  check.difference = largest_difference(logits_of(model, prompts), adapted);
  check.allowed = largest_share(model.type()) * largest(adapted);
  if (!(check.difference <= check.allowed)) {
    fail(ErrorKind::kNumeric, where, ": merged logits must be within ", check.allowed,
         " of the adapter's, got ", check.difference, "; nothing was written");
  }
  return check;
}

}  // namespace radgpt
