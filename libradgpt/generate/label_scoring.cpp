#include "libradgpt/generate/label_scoring.h"

#include <torch/types.h>

#include <algorithm>

#include "libradgpt/base/error.h"
#include "libradgpt/generate/prompt_pack.h"
#include "libradgpt/ops/head_cross_entropy.h"

namespace radgpt {

namespace {

// A pack of prompts and labels; row rows[k] must predict targets[k] for label label_of[k], counted
// through all queries of the pack.
struct ScoringPack {
  Pack pack;
  std::vector<int64_t> rows;
  std::vector<int64_t> targets;
  std::vector<size_t> label_of;
  size_t labels = 0;
};

int64_t tokens_of(const LabelQuery& query) {
  size_t tokens = query.prompt.size();
  for (const auto& label : query.labels) tokens += label.size();
  return static_cast<int64_t>(tokens);
}

void check(const LabelQuery& query) {
  require(!query.prompt.empty(), "label scoring: a prompt must have at least one id, got none");
  require(!query.labels.empty(), "label scoring: a query needs at least one label, got none");
  for (const auto& label : query.labels) {
    require(!label.empty(), "label scoring: a label must have at least one id, got none");
  }
}

void append(ScoringPack& scoring, const LabelQuery& query, int32_t end_of_text) {
  append_segment(scoring.pack, query.prompt, {});
  const Segment prompt = scoring.pack.segments.back();
  for (const std::vector<int32_t>& label : query.labels) {
    const int64_t begin = scoring.pack.size();
    append_segment(scoring.pack, label, prompt);
    for (size_t i = 0; i <= label.size(); ++i) {
      scoring.rows.push_back(i == 0 ? prompt.end - 1 : begin + static_cast<int64_t>(i) - 1);
      scoring.targets.push_back(i < label.size() ? label[i] : end_of_text);
      scoring.label_of.push_back(scoring.labels);
    }
    ++scoring.labels;
  }
}

std::vector<double> sums_per_label(const Baichuan& model, const ScoringPack& scoring) {
  const at::Tensor hidden = model.forward(scoring.pack, {}, scoring.rows);
  const at::Tensor log_probabilities =
      head_log_probabilities(hidden, model.head(), at::tensor(scoring.targets, at::kLong))
          .cpu()
          .contiguous();
  const float* values = log_probabilities.const_data_ptr<float>();
  std::vector<double> sums(scoring.labels, 0.0);
  for (size_t k = 0; k < scoring.label_of.size(); ++k) sums[scoring.label_of[k]] += values[k];
  return sums;
}

}  // namespace

std::vector<std::vector<double>> score_labels(const Baichuan& model,
                                              const std::vector<LabelQuery>& queries,
                                              int64_t pack_tokens) {
  const at::NoGradGuard no_grad;
  const auto end_of_text = static_cast<int32_t>(model.config().eos_token_id);
  std::for_each(queries.begin(), queries.end(), check);
  std::vector<std::vector<double>> scores;
  while (scores.size() < queries.size()) {
    ScoringPack scoring;
    const size_t first = scores.size();
    size_t end = first;
    do {
      append(scoring, queries[end++], end_of_text);
    } while (end < queries.size() && scoring.pack.size() + tokens_of(queries[end]) <= pack_tokens);
    const std::vector<double> sums = sums_per_label(model, scoring);
    auto next = sums.begin();
    for (size_t i = first; i < end; ++i) {
      const auto last = next + static_cast<int64_t>(queries[i].labels.size());
      scores.emplace_back(next, last);
      next = last;
    }
  }
  return scores;
}

}  // namespace radgpt
