#pragma once

#include <ATen/core/Tensor.h>

#include "libradgpt/base/pack.h"
#include "libradgpt/ops/lora_pair.h"

namespace radgpt {

/// NEFTune's noise (Jain et al., arXiv 2310.05914) for the tokens of a pack, [tokens, hidden] fp32
/// on the CPU: row i is uniform in [-1, 1) key.neftune_alpha / sqrt(L hidden), L being the tokens
/// of its segment and its prefix. A function of the key and the row alone.
at::Tensor embedding_noise(const Pack& pack, int64_t hidden, const DropoutKey& key);

}  // namespace radgpt
