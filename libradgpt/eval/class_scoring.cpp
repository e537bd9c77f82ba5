#include "libradgpt/eval/class_scoring.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "libradgpt/base/error.h"
#include "libradgpt/generate/prompt_pack.h"

namespace radgpt {

namespace {

// [prompts, classes] fp32
at::Tensor probabilities_of(const Baichuan& model, const Head& head,
                            std::span<const std::vector<int32_t>> prompts, int64_t classes) {
  PromptPack prompt_pack = pack_prompt_ids(prompts);
  Pack& pack = prompt_pack.pack;
  for (size_t i = 0; i < prompts.size(); ++i) {
    pack.examples.push_back({.example = static_cast<int32_t>(i),
                             .answer_row = static_cast<int32_t>(prompt_pack.last_rows[i])});
  }
  const at::Tensor probabilities =
      head.class_probabilities(model.forward(pack, {}, head.rows(pack)), pack);
  require(probabilities.defined(),
          "train.head: must give class probabilities to answer train.head_task, got a head that "
          "does not classify");
  const auto rows = static_cast<int64_t>(prompts.size());
  require(probabilities.sizes() == at::IntArrayRef({rows, classes}),
          "train.head: class probabilities must be [", rows, ", ", classes,
          "], as the task has labels, got ", probabilities.sizes());
  return probabilities.to(at::kFloat).contiguous();
}

}  // namespace

std::vector<std::vector<double>> score_classes(const Baichuan& model, const Head& head,
                                               const std::vector<std::vector<int32_t>>& prompts,
                                               int64_t classes, int64_t pack_tokens) {
  const at::NoGradGuard no_grad;
  std::vector<std::vector<double>> scores;
  while (scores.size() < prompts.size()) {
    const size_t first = scores.size();
    size_t end = first;
    size_t tokens = 0;
    do {
      tokens += prompts[end++].size();
    } while (end < prompts.size() &&
             tokens + prompts[end].size() <= static_cast<size_t>(pack_tokens));
    const at::Tensor probabilities =
        probabilities_of(model, head, std::span(prompts).subspan(first, end - first), classes)
            .cpu();
    const float* next = probabilities.const_data_ptr<float>();
    for (size_t i = first; i < end; ++i) {
      std::vector<double>& row = scores.emplace_back();
      for (int64_t c = 0; c < classes; ++c) {
        row.push_back(std::log(std::max(*next++, std::numeric_limits<float>::min())));
      }
    }
  }
  return scores;
}

}  // namespace radgpt
