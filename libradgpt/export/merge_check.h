#pragma once

#include <string>

#include "libradgpt/data/tokenizer.h"
#include "libradgpt/lora/adapter.h"
#include "libradgpt/model/baichuan.h"

namespace radgpt {

/// What merging does to the logits of probe prompts: a made-up finding with each shipped question.
struct MergeCheck {
  double moved = 0;       ///< largest difference that the adapter makes
  double difference = 0;  ///< largest difference between the merged weights and base with adapter
  double allowed = 0;     ///< what rounding the weights once may make
};

/// Merges the adapter into the model (Adapter::merge) and compares. `where` is the adapter's
/// folder. Throws Error(kNumeric) if the difference is not within what is allowed, NaN included.
MergeCheck merge_and_check(Baichuan& model, Adapter& adapter, const Tokenizer& tokenizer,
                           const std::string& where);

}  // namespace radgpt
