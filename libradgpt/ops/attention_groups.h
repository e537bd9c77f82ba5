#pragma once

#include <vector>

#include "libradgpt/base/pack.h"

namespace radgpt {

/// A segment without prefix and the segments whose prefix it is, in ascending order: what shares
/// keys and values.
struct AttentionGroup {
  Segment root;
  std::vector<Segment> branches;

  /// Most keys that a query of the group sees.
  int64_t most_keys() const;
};

/// Groups of a pack, by ascending root. Throws Error unless `segments` ascend, cover [0, tokens)
/// without gaps, and each prefix is the whole of an earlier segment that has no prefix itself.
std::vector<AttentionGroup> group_segments(const std::vector<Segment>& segments, int64_t tokens);

}  // namespace radgpt
