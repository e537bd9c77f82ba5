#pragma once

#include <cstdint>
#include <vector>

#include "libradgpt/model/baichuan.h"

namespace radgpt {

/// A prompt and the answers it may have.
struct LabelQuery {
  std::vector<int32_t> prompt;               ///< ends with the assistant token
  std::vector<std::vector<int32_t>> labels;  ///< ids of each label, not empty, no end-of-text
};

/// log P(label | prompt) for every query and label: the sum over the label's ids and the
/// end-of-text id behind them. Nothing is generated: prompts are segments of one pack, labels are
/// branches that hang off them, so a prompt is computed once. Queries are put together up to
/// `pack_tokens` tokens at a time.
/// Throws Error(kInput) for an empty prompt, label or list of labels.
std::vector<std::vector<double>> score_labels(const Baichuan& model,
                                              const std::vector<LabelQuery>& queries,
                                              int64_t pack_tokens = 4096);

}  // namespace radgpt
