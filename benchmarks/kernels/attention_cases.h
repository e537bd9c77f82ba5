#pragma once

#include "benchmarks/kernels/kernel_cases.h"
#include "kernels/rope/rope.h"
#include "kernels/segment_attention/cached_attention.h"
#include "kernels/segment_attention/segment_attention.h"

namespace radgpt::kernels {

inline constexpr int64_t kHeadDim = 128;
inline constexpr int32_t kSegment = 1024;  ///< tokens of each segment of the pack

/// Of a pack of such segments.
inline std::vector<int64_t> positions(int64_t tokens) {
  std::vector<int64_t> result(tokens);
  for (int64_t token = 0; token < tokens; ++token) result[token] = token % kSegment;
  return result;
}

template <typename T>
Case rope(Machine& machine, const Sizes& sizes) {
  CaseMaker<T> maker(machine, sizes, "rope", "head_dim 128");
  Buffers& buffers = maker.buffers();
  const int64_t m = maker.m, k = maker.k, half = kHeadDim / 2;
  const Rope<T> call{.tokens = m,
                     .heads = k / kHeadDim,
                     .head_dim = kHeadDim,
                     .qkv = buffers.random<T>(3 * m * k),
                     .stride = 3 * k,
                     .positions = buffers.copy_of(positions(m)),
                     .cosines = buffers.random<float>(kSegment * half),
                     .sines = buffers.random<float>(kSegment * half)};
  maker.writes(call.qkv, 3 * m * k);
  maker.runs(
      call, [](const auto& c, auto stream) { rope_cuda(c, stream); },
      [](const auto& c, const Workers& workers) { rope_cpu(c, workers); });
  return maker.finish(8 * m * k + m * (8 + 4 * kHeadDim));
}

/// A pack of segments without prefixes.
struct BenchmarkPack {
  std::vector<AttentionGroup> groups;
  std::vector<AttentionTile> tiles;
  double pairs = 0;  ///< of a query and a key that it sees

  explicit BenchmarkPack(int64_t tokens) {
    std::vector<Segment> segments;
    for (int32_t begin = 0; begin < tokens; begin += kSegment) {
      const auto end = static_cast<int32_t>(std::min<int64_t>(tokens, begin + kSegment));
      segments.push_back({begin, end, 0, 0});
      pairs += 0.5 * (end - begin) * (end - begin + 1);
    }
    groups = group_segments(segments, tokens);
    tiles = make_attention_tiles(groups);
  }
};

template <typename T>
SegmentAttentionForward<T> segment_attention_call(CaseMaker<T>& maker, const BenchmarkPack& pack) {
  Buffers& buffers = maker.buffers();
  SegmentAttentionForward<T> call;
  call.input.tokens = maker.m;
  call.input.heads = maker.k / kHeadDim;
  call.input.head_dim = kHeadDim;
  call.input.qkv = buffers.random<T>(3 * maker.m * maker.k);
  call.input.positions = buffers.copy_of(positions(maker.m));
  call.out = buffers.empty<T>(maker.m * maker.k);
  call.log_sums = buffers.empty<Compute<T>>(maker.m * call.input.heads);
  const AttentionTile* tiles = buffers.copy_of(pack.tiles);
  const auto count = static_cast<int64_t>(pack.tiles.size());
  maker.runs(
      call,
      [=](const auto& c, auto stream) { segment_attention_forward_cuda(c, tiles, count, stream); },
      [groups = pack.groups](const auto& c, const Workers& workers) {
        segment_attention_forward_cpu(c, groups, workers);
      });
  return call;
}

template <typename T>
Case segment_attention_forward(Machine& machine, const Sizes& sizes) {
  CaseMaker<T> maker(machine, sizes, "segment_attention_forward", "segments of 1024");
  const BenchmarkPack pack(sizes.rows);
  const SegmentAttentionForward<T> call = segment_attention_call(maker, pack);
  maker.writes(call.out, maker.m * maker.k);
  maker.writes(call.log_sums, maker.m * call.input.heads);
  const auto width = static_cast<double>(maker.k);
  return maker.finish(8 * maker.m * maker.k + 4 * maker.m * call.input.heads,
                      4 * width * pack.pairs);
}

template <typename T>
Case segment_attention_backward(Machine& machine, const Sizes& sizes) {
  CaseMaker<T> maker(machine, sizes, "segment_attention_backward", "segments of 1024");
  const BenchmarkPack pack(sizes.rows);
  const SegmentAttentionForward<T> forward = segment_attention_call(maker, pack);
  maker.made.run();
  Buffers& buffers = maker.buffers();
  const SegmentAttentionBackward<T> call{forward.input, forward.log_sums, forward.out,
                                         buffers.random<T>(maker.m * maker.k),
                                         buffers.empty<T>(3 * maker.m * maker.k)};
  const AttentionTile* tiles = buffers.copy_of(pack.tiles);
  const auto count = static_cast<int64_t>(pack.tiles.size());
  maker.writes(call.d_qkv, 3 * maker.m * maker.k);
  maker.runs(
      call,
      [=, &machine](const auto& c, auto stream) {
        segment_attention_backward_cuda(
            c, tiles, count, machine.workspace(segment_attention_backward_workspace(c)), stream);
      },
      [groups = pack.groups](const auto& c, const Workers& workers) {
        segment_attention_backward_cpu(c, groups, workers);
      });
  const auto width = static_cast<double>(maker.k);
  return maker.finish(16 * maker.m * maker.k + 4 * maker.m * forward.input.heads,
                      10 * width * pack.pairs);
}

/// Keys and values of all rows, into the cache in the opposite order.
template <typename T>
Case cache_store(Machine& machine, const Sizes& sizes) {
  CaseMaker<T> maker(machine, sizes, "cache_store");
  Buffers& buffers = maker.buffers();
  const int64_t m = maker.m, k = maker.k;
  std::vector<int32_t> tokens(m);
  std::vector<int64_t> rows(m);
  for (int64_t i = 0; i < m; ++i) {
    tokens[i] = static_cast<int32_t>(i);
    rows[i] = m - 1 - i;
  }
  CacheStore<T> call;
  call.input.tokens = m;
  call.input.heads = k / kHeadDim;
  call.input.head_dim = kHeadDim;
  call.input.qkv = buffers.random<T>(3 * m * k);
  call.count = m;
  call.tokens = buffers.copy_of(tokens);
  call.rows = buffers.copy_of(rows);
  call.cache = {buffers.empty<T>(m * k), buffers.empty<T>(m * k), m};
  maker.writes(call.cache.keys, m * k);
  maker.writes(call.cache.values, m * k);
  maker.runs(
      call, [](const auto& c, auto stream) { cache_store_cuda(c, stream); },
      [](const auto& c, const Workers& workers) { cache_store_cpu(c, workers); });
  return maker.finish(8 * m * k + 12 * m);
}

/// One query a segment, over a cache of all rows.
template <typename T>
Case cached_attention(Machine& machine, const Sizes& sizes) {
  CaseMaker<T> maker(machine, sizes, "cached_attention", "caches of 1024");
  Buffers& buffers = maker.buffers();
  const int64_t k = maker.k, capacity = std::min<int64_t>(maker.m, kSegment);
  const int64_t queries = maker.m / capacity;
  std::vector<int32_t> sequences(queries);
  for (int64_t i = 0; i < queries; ++i) sequences[i] = static_cast<int32_t>(queries - 1 - i);
  CachedAttention<T> call;
  call.input.tokens = queries;
  call.input.heads = k / kHeadDim;
  call.input.head_dim = kHeadDim;
  call.input.qkv = buffers.random<T>(3 * queries * k);
  call.sequences = buffers.copy_of(sequences);
  call.entries = buffers.copy_of(
      std::vector<int32_t>(static_cast<size_t>(queries), static_cast<int32_t>(capacity)));
  call.cache = {buffers.random<T>(queries * capacity * k),
                buffers.random<T>(queries * capacity * k), capacity};
  call.out = buffers.empty<T>(queries * k);
  maker.writes(call.out, queries * k);
  maker.runs(
      call, [](const auto& c, auto stream) { cached_attention_cuda(c, stream); },
      [](const auto& c, const Workers& workers) { cached_attention_cpu(c, workers); });
  return maker.finish(4 * queries * capacity * k + 4 * queries * k);
}

}  // namespace radgpt::kernels
