#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "libradgpt/base/pack.h"

namespace radgpt {

/// Prompts as one pack without targets.
struct PromptPack {
  Pack pack;
  std::vector<int32_t> prompt_of_segment;  ///< index in the list; -1: a prefix several share
  std::vector<int64_t> last_rows;          ///< row of each prompt's last token
};

/// Neighbours that begin with the same ids, at least half of the first of them, and take the same
/// adapter share that beginning. Prompts must not be empty. `adapters`: one a prompt for
/// Pack::adapters, or empty.
PromptPack pack_prompt_ids(std::span<const std::vector<int32_t>> prompts,
                           std::span<const int32_t> adapters = {});

/// Appends a segment behind the prefix range (empty: none). Positions go on from its end.
void append_segment(Pack& pack, std::span<const int32_t> ids, Segment prefix);

}  // namespace radgpt
