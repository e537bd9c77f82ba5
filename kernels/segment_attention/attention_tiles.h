#pragma once

#include <cstdint>
#include <vector>

#include "libradgpt/base/pack.h"

namespace radgpt::kernels {

/// A segment without prefix and the segments whose prefix it is, in ascending order: what shares
/// keys and values.
struct AttentionGroup {
  Segment root;
  std::vector<Segment> branches;

  /// Most keys that a query of the group sees.
  int64_t most_keys() const;
};

/// Groups of a pack, by ascending root. Throws Error kInput unless `segments` ascend, cover
/// [0, tokens) without gaps, and each prefix is the whole of an earlier segment that has no prefix
/// itself.
std::vector<AttentionGroup> group_segments(const std::vector<Segment>& segments, int64_t tokens);

/// Tokens of a tile.
inline constexpr int32_t kAttentionTile = 64;

/// Up to kAttentionTile tokens of one segment. As queries they see the keys [prefix_begin,
/// prefix_end), and of [segment_begin, end) those that are not behind them. As keys they are seen
/// by the tiles [seen_begin, seen_end): their own and the later ones of their segment, then those
/// of its branches.
struct alignas(16) AttentionTile {
  int32_t begin;
  int32_t end;
  int32_t segment_begin;
  int32_t prefix_begin;
  int32_t prefix_end;
  int32_t seen_begin;
  int32_t seen_end;
  int32_t unused;  ///< a tile is two pieces of 16 bytes
};

/// The tiles of a pack, group by group: what a kernel visits, so that nothing is computed between
/// unrelated segments or above the diagonal. Made on the host once a pack, to be copied to the
/// device.
std::vector<AttentionTile> make_attention_tiles(const std::vector<AttentionGroup>& groups);

}  // namespace radgpt::kernels
