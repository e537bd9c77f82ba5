#pragma once

#include <cstdint>
#include <vector>

#include "libradgpt/data/packing.h"

namespace radgpt {

/// Lengths of the examples of one task, standing alone, in tokens.
struct LengthRow {
  int32_t task = -1;  ///< -1: conversations
  int64_t examples = 0;
  int64_t tokens = 0;
  int64_t targets = 0;
  int32_t p50 = 0;
  int32_t p90 = 0;
  int32_t p99 = 0;
  int32_t longest = 0;
};

/// One row for each task that has examples, in the order of tasks.
std::vector<LengthRow> length_table(const TokenDataset& dataset);

/// What an epoch makes the model compute, in tokens, under three layouts.
struct EpochTokens {
  int64_t padded = 0;   ///< batches of 8 random examples, each filled up to its longest
  int64_t packed = 0;   ///< every example alone, no filling
  int64_t shared = 0;   ///< prefixes of groups once
  int64_t targets = 0;  ///< tokens with loss, the same in all three
  int64_t packs = 0;    ///< packs of the layout that the options say
  double fill = 0;      ///< how full they are, 0 to 1
};

/// Counts without making packs. Throws Error(kInput) as plan_epoch.
EpochTokens count_epoch_tokens(const TokenDataset& dataset, const PackingOptions& options);

}  // namespace radgpt
