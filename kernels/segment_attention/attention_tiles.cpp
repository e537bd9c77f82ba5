#include "kernels/segment_attention/attention_tiles.h"

#include <algorithm>

#include "kernels/primitives/rounding.h"
#include "libradgpt/base/error.h"

namespace radgpt::kernels {

namespace {

int32_t tiles_of(const Segment& segment) { return divide_up(segment.length(), kAttentionTile); }

/// Appends the tiles of a segment; tiles behind them see them too, up to `others` behind the last.
void append_tiles(const Segment& segment, int32_t others, std::vector<AttentionTile>& tiles) {
  const auto first = static_cast<int32_t>(tiles.size());
  const int32_t end = first + tiles_of(segment) + others;
  for (int32_t begin = segment.begin; begin < segment.end; begin += kAttentionTile) {
    tiles.push_back({begin, std::min(begin + kAttentionTile, segment.end), segment.begin,
                     segment.prefix_begin, segment.prefix_end, static_cast<int32_t>(tiles.size()),
                     end, 0});
  }
}

}  // namespace

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
    const auto behind = std::upper_bound(
        groups.begin(), groups.end(), segment.prefix_begin,
        [](int32_t begin, const AttentionGroup& group) { return begin < group.root.begin; });
    require(behind != groups.begin() && behind[-1].root.begin == segment.prefix_begin &&
                behind[-1].root.end == segment.prefix_end,
            "attention: a prefix must be an earlier segment without prefix, got [",
            segment.prefix_begin, ", ", segment.prefix_end, ") for segment [", segment.begin, ", ",
            segment.end, ")");
    behind[-1].branches.push_back(segment);
  }
  require(covered == tokens, "attention: segments must cover all ", tokens, " tokens, got ",
          covered);
  return groups;
}

std::vector<AttentionTile> make_attention_tiles(const std::vector<AttentionGroup>& groups) {
  std::vector<AttentionTile> tiles;
  for (const AttentionGroup& group : groups) {
    int32_t of_branches = 0;
    for (const Segment& branch : group.branches) of_branches += tiles_of(branch);
    append_tiles(group.root, of_branches, tiles);
    for (const Segment& branch : group.branches) append_tiles(branch, 0, tiles);
  }
  return tiles;
}

}  // namespace radgpt::kernels
