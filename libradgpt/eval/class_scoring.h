#pragma once

#include <cstdint>
#include <vector>

#include "libradgpt/heads/head.h"
#include "libradgpt/model/baichuan.h"

namespace radgpt {

/// ln of Head::class_probabilities, [prompts][classes], for prompts that end with the assistant
/// token; a probability that fp32 rounds to 0 counts as its smallest normal number, so all are
/// finite. Prompts are put together up to `pack_tokens` tokens at a time.
/// Throws Error(kInput) if the head gives no probabilities, or not one for each of `classes`.
std::vector<std::vector<double>> score_classes(const Baichuan& model, const Head& head,
                                               const std::vector<std::vector<int32_t>>& prompts,
                                               int64_t classes, int64_t pack_tokens = 4096);

}  // namespace radgpt
