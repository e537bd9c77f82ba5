#include "kernels/segment_attention/attention_tiles.h"

#include "libradgpt/base/error.h"
#include "tests/catch.h"
#include "tests/kernels/attention_case.h"

namespace radgpt::kernels {
namespace {

TEST_CASE("Attention tiles: each lists its keys and the tiles that see it, group by group") {
  const PackLayout layout = PackLayout().root(70).root(3).branch(0, 5).branch(1, 64).branch(0, 65);
  const std::vector<AttentionTile> tiles =
      make_attention_tiles(group_segments(layout.segments, layout.tokens()));
  const std::vector<std::vector<int32_t>> expected = {
      {0, 64, 0, 0, 0, 0, 5},        // seen by itself, the rest of its segment, three of branches
      {64, 70, 0, 0, 0, 1, 5},       //
      {73, 78, 73, 0, 70, 2, 3},     //
      {142, 206, 142, 0, 70, 3, 5},  //
      {206, 207, 142, 0, 70, 4, 5},  //
      {70, 73, 70, 0, 0, 5, 7},      // the second root
      {78, 142, 78, 70, 73, 6, 7}};
  REQUIRE(tiles.size() == expected.size());
  for (size_t i = 0; i < tiles.size(); ++i) {
    const AttentionTile& tile = tiles[i];
    CHECK(std::vector<int32_t>{tile.begin, tile.end, tile.segment_begin, tile.prefix_begin,
                               tile.prefix_end, tile.seen_begin, tile.seen_end} == expected[i]);
  }
}

TEST_CASE("Attention groups: refuse segments that do not fit, and say which") {
  CHECK_THROWS_WITH(group_segments({{0, 3, 0, 0}}, 4),
                    "attention: segments must cover all 4 tokens, got 3");
  CHECK_THROWS_AS(group_segments({{0, 2, 0, 0}, {1, 4, 0, 0}}, 4), Error);
  CHECK_THROWS_AS(group_segments({{0, 2, 0, 0}, {2, 4, 0, 1}}, 4), Error);
  CHECK_THROWS_AS(group_segments({{0, 1, 0, 0}, {1, 2, 0, 1}, {2, 4, 1, 2}}, 4), Error);
}

}  // namespace
}  // namespace radgpt::kernels
