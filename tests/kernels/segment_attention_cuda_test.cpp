#include "kernels/segment_attention/segment_attention.h"
#include "libradgpt/base/error.h"
#include "tests/catch.h"
#include "tests/kernels/attention_case.h"
#include "tests/kernels/device_memory.h"

namespace radgpt::kernels {
namespace {

using Case = AttentionCase<BFloat16>;

/// Forward and backward pass on the device.
struct DeviceRun {
  DeviceMemory memory;
  AttentionInput<BFloat16> input;
  std::vector<AttentionTile> host_tiles;
  const AttentionTile* tiles = nullptr;
  SegmentAttentionForward<BFloat16> forward;
  SegmentAttentionBackward<BFloat16> backward;

  explicit DeviceRun(const Case& of)
      : input(of.input), host_tiles(make_attention_tiles(of.groups())) {
    input.qkv = memory.input("qkv", of.qkv);
    if (input.slopes != nullptr) {
      input.slopes = memory.input("slopes", of.slopes);
      input.positions = memory.input("positions", of.layout.positions);
    } else {
      input.positions = nullptr;
    }
    tiles = memory.input("tiles", host_tiles);
    const int64_t tokens = input.tokens, hidden = of.hidden();
    forward = {input, memory.output<BFloat16>("out", tokens * hidden),
               memory.output<float>("log_sums", tokens * input.heads)};
    backward = {input, forward.log_sums, forward.out, memory.input("d_out", of.d_out),
                memory.output<BFloat16>("d_qkv", tokens * 3 * hidden)};
    const auto tile_count = static_cast<int64_t>(host_tiles.size());
    const size_t bytes = segment_attention_backward_workspace(backward);
    segment_attention_forward_cuda(forward, tiles, tile_count, nullptr);
    segment_attention_backward_cuda(backward, tiles, tile_count,
                                    {memory.output<std::byte>("workspace", bytes), bytes}, nullptr);
  }

  WrittenArrays arrays() const {
    return {{"out", written_array(memory.values<BFloat16>("out"))},
            {"log_sums", written_array(memory.values<float>("log_sums"))},
            {"d_qkv", written_array(memory.values<BFloat16>("d_qkv"))}};
  }
};

void expect_accurate(const Case& of) {
  const DeviceRun run(of);
  for (const char* name : {"out", "log_sums", "d_qkv"}) CHECK(run.memory.every_byte_written(name));
  expect_as_accurate_as(of.reference(Arithmetic::kPlain), run.arrays(),
                        of.reference(Arithmetic::kExact));
}

TEST_CASE("Segment attention on a GPU: as accurate as the unfused chain for every width of heads",
          "[cuda]") {
  for (const int64_t head_dim : {8, 16, 24, 32, 64, 80, 128}) {
    for (const Bias bias : {Bias::kNone, Bias::kAlibi}) {
      INFO("head_dim " << head_dim << " ALiBi " << (bias == Bias::kAlibi));
      expect_accurate(Case(PackLayout().root(7).root(13).branch(1, 5), 2, head_dim, bias));
    }
  }
}

PackLayout tiny_segments() {
  PackLayout layout;
  for (int32_t i = 0; i < 40; ++i) layout.root(1 + i % 7);
  return layout;
}

/// Roots with branches apart from them, longer than a tile, a tile, and shorter; an empty segment.
PackLayout mixed_segments() {
  return PackLayout()
      .root(131)
      .branch(0, 5)
      .root(64)
      .branch(2, 64)
      .root(0)
      .branch(0, 67)
      .branch(2, 1)
      .root(1)
      .branch(0, 17);
}

TEST_CASE("Segment attention on a GPU: as accurate as the unfused chain for every layout of a pack",
          "[cuda]") {
  const std::vector<PackLayout> layouts = {
      PackLayout().root(1),   PackLayout().root(63), PackLayout().root(64), PackLayout().root(65),
      PackLayout().root(331), tiny_segments(),       mixed_segments()};
  for (const PackLayout& layout : layouts) {
    for (const Bias bias : {Bias::kNone, Bias::kAlibi}) {
      INFO("tokens " << layout.tokens() << " ALiBi " << (bias == Bias::kAlibi));
      expect_accurate(Case(layout, 2, 16, bias));
    }
  }
  expect_accurate(Case(mixed_segments(), 1, 128, Bias::kAlibi));
}

TEST_CASE("Segment attention on a GPU: scores that exp cannot hold do no harm", "[cuda]") {
  Case large(mixed_segments(), 1, 32, Bias::kAlibi);
  for (BFloat16& value : large.qkv) value = BFloat16(16 * static_cast<float>(value));
  expect_accurate(large);
}

TEST_CASE("Segment attention on a GPU: the same bits whatever the order of blocks and lanes",
          "[cuda]") {
  const Case of(mixed_segments(), 2, 32, Bias::kAlibi);
  const auto bits = [&](uint64_t seed) {
    const DeviceOrder order(seed);
    return DeviceRun(of).arrays();
  };
  CHECK(bits(1) == bits(2));
}

#ifndef RADGPT_TEST_ON_GPU  // which counts no bytes
TEST_CASE("Segment attention on a GPU: reads each tile once for each tile that needs it",
          "[cuda]") {
  // Tiles of queries, and rows of keys they see: 64 of the first root (64) and 6 (70); 5 of its
  // branch (70 + 5); 3 alone (3); 64 (70 + 64) and 2 (70 + 66) of a second branch.
  // Rows of queries that tiles of keys are seen by: 70 + 5 + 66, 6 + 5 + 66, 5, 3, 66, 2.
  constexpr int64_t kTokens = 144, kTiles = 6, kKeys = 482, kQueries = 294;
  constexpr int64_t kRow = 16 * sizeof(BFloat16), kTile = sizeof(AttentionTile);
  const Case of(PackLayout().root(70).branch(0, 5).root(3).branch(0, 66), 1, 16, Bias::kNone);
  const DeviceRun run(of);
  REQUIRE(run.memory.launches().size() == 3);
  const auto requested = [&](int launch, const char* name) {
    return run.memory.launches()[launch].buffers.at(name).requested;
  };
  CHECK(run.memory.launches()[0].buffers.at("tiles").distinct == simt::Bytes{kTiles * kTile, 0});
  CHECK(requested(0, "qkv") == simt::Bytes{(kTokens + 2 * kKeys) * kRow, 0});
  CHECK(requested(0, "out") == simt::Bytes{0, kTokens * kRow});
  CHECK(requested(0, "log_sums") == simt::Bytes{0, kTokens * 4});

  CHECK(requested(1, "qkv") == requested(0, "qkv"));
  CHECK(requested(1, "out") == simt::Bytes{kTokens * kRow, 0});
  CHECK(requested(1, "d_out") == simt::Bytes{kTokens * kRow, 0});
  CHECK(requested(1, "log_sums") == simt::Bytes{kTokens * 4, 0});
  CHECK(requested(1, "workspace") == simt::Bytes{0, kTokens * 4});
  CHECK(requested(1, "d_qkv") == simt::Bytes{0, kTokens * kRow});

  CHECK(requested(2, "qkv") == simt::Bytes{(2 * kTokens + kQueries) * kRow, 0});
  CHECK(requested(2, "d_out") == simt::Bytes{kQueries * kRow, 0});
  CHECK(requested(2, "log_sums") == simt::Bytes{kQueries * 4, 0});
  CHECK(requested(2, "workspace") == simt::Bytes{kQueries * 4, 0});
  CHECK(requested(2, "d_qkv") == simt::Bytes{0, 2 * kTokens * kRow});
}

TEST_CASE("Segment attention on a GPU: no tokens, no launch", "[cuda]") {
  const DeviceRun run(Case(PackLayout(), 2, 8, Bias::kNone));
  CHECK(run.memory.launches().empty());
}
#endif

TEST_CASE("Segment attention on a GPU: refuses what the device cannot take, and says why",
          "[cuda]") {
  const Case odd(PackLayout().root(3), 1, 12, Bias::kNone);
  const SegmentAttentionForward<BFloat16> call{odd.input, nullptr, nullptr};
  CHECK_THROWS_WITH(
      segment_attention_forward_cuda(call, nullptr, 1, nullptr),
      "segment_attention_forward: head_dim must be a multiple of 8 up to 128 on a GPU, got 12");
  const Case wide(PackLayout().root(3), 1, 136, Bias::kNone);
  CHECK_THROWS_AS(
      segment_attention_forward_cuda({wide.input, nullptr, nullptr}, nullptr, 1, nullptr), Error);
  const Case turned(PackLayout().root(3), 1, 8, Bias::kNone, Rotated::kYes);
  CHECK_THROWS_AS(
      segment_attention_forward_cuda({turned.input, nullptr, nullptr}, nullptr, 1, nullptr), Error);
  const Case right(PackLayout().root(3), 1, 8, Bias::kNone);
  SegmentAttentionBackward<BFloat16> backward;
  backward.input = right.input;
  CHECK_THROWS_WITH(segment_attention_backward_cuda(backward, nullptr, 1, {}, nullptr),
                    "segment_attention_backward: tiles must not be null");
  alignas(16) BFloat16 somewhere[72];
  alignas(16) const AttentionTile tile{};
  backward.out = backward.d_out = backward.d_qkv = somewhere;
  CHECK_THROWS_WITH(segment_attention_backward_cuda(backward, &tile, 1, {}, nullptr),
                    "segment_attention_backward: workspace must have 12 bytes, got 0");
}

}  // namespace
}  // namespace radgpt::kernels
