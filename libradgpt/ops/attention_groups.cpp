#include "libradgpt/ops/attention_groups.h"

#include <algorithm>

#include "libradgpt/base/error.h"

namespace radgpt {

int64_t AttentionGroup::most_keys() const {
  int64_t longest = 0;
  for (const Segment& branch : branches) longest = std::max<int64_t>(longest, branch.length());
  return root.length() + longest;
}

std::vector<AttentionGroup> group_segments(const std::vector<Segment>& segments, int64_t tokens) {
  std::vector<AttentionGroup> groups;
  int64_t covered = 0;
  for (const Segment& segment : segments) {
    require(segment.begin == covered && segment.end >= segment.begin,
            "attention: segments must follow each other from token 0, got [", segment.begin, ", ",
            segment.end, ") after ", covered);
    covered = segment.end;
    if (segment.prefix_length() == 0) {
      groups.push_back({segment, {}});
      continue;
    }
    const auto group = std::lower_bound(
        groups.begin(), groups.end(), segment.prefix_begin,
        [](const AttentionGroup& g, int32_t begin) { return g.root.begin < begin; });
    require(group != groups.end() && group->root.begin == segment.prefix_begin &&
                group->root.end == segment.prefix_end,
            "attention: a prefix must be an earlier segment without prefix, got [",
            segment.prefix_begin, ", ", segment.prefix_end, ") for segment [", segment.begin, ", ",
            segment.end, ")");
    group->branches.push_back(segment);
  }
  require(covered == tokens, "attention: segments must cover all ", tokens, " tokens, got ",
          covered);
  return groups;
}

}  // namespace radgpt
