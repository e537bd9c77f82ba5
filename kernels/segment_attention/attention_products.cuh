#pragma once

#include <cmath>

#include "kernels/primitives/device.cuh"
#include "kernels/segment_attention/segment_attention.h"

namespace radgpt::kernels {

// A block works on one tile of tokens and one head; each of its four warps has 16 of the tile's 64
// rows. Tiles stand in shared memory as words of two bfloat16, kWidth values a row (head_dim
// rounded up to a power of two), zero where no token or column is. With g = lane / 4 and
// t = lane % 4, a lane holds of a 16 x 8 product rows g, g + 8 and columns 2t, 2t + 1.

inline constexpr int kAttentionThreads = kAttentionTile / 16 * kWarp;
inline constexpr int kTileBlocks = kAttentionTile / 8;  ///< products that a tile is wide

/// Four words more than a row's values: so the words that a warp reads at once, those of t in eight
/// rows, lie in 32 different banks.
template <int kWidth>
inline constexpr int kRowWords = kWidth / 2 + 4;
template <int kWidth>
inline constexpr int kTileWords{kRowWords<kWidth> * kAttentionTile};

RADGPT_DEVICE int lane_group() { return static_cast<int>(threadIdx.x) % kWarp / 4; }
RADGPT_DEVICE int lane_member() { return static_cast<int>(threadIdx.x) % 4; }
/// The lane's first row in its block's tile; the second is 8 below it.
RADGPT_DEVICE int lane_row() { return static_cast<int>(threadIdx.x) / kWarp * 16 + lane_group(); }

RADGPT_DEVICE AttentionTile load_attention_tile(const AttentionTile* tiles, int64_t i) {
  const auto* words = reinterpret_cast<const int32_t*>(tiles + i);
  const Words4 tokens = load<Words4>(words), others = load<Words4>(words + 4);
  const auto number = [](uint32_t word) { return static_cast<int32_t>(word); };
  return {number(tokens.word[0]), number(tokens.word[1]),
          number(tokens.word[2]), number(tokens.word[3]),
          number(others.word[0]), number(others.word[1]),
          number(others.word[2]), 0};
}

/// One head's columns of rows of tokens, in global memory.
template <typename T>
struct HeadRows {
  T* data;
  int64_t stride;
  int head_dim;
};

/// Copies rows [begin, end) to shared memory in the background.
template <int kWidth>
RADGPT_DEVICE void load_tile(const HeadRows<const BFloat16>& rows, int begin, int end,
                             uint32_t* tile) {
  constexpr int kPieces = kWidth / 8;
  for (int i = static_cast<int>(threadIdx.x); i < kAttentionTile * kPieces;
       i += kAttentionThreads) {
    const int row = i / kPieces, piece = i % kPieces;
    uint32_t* to = tile + row * kRowWords<kWidth> + 4 * piece;
    if (begin + row < end && 8 * piece < rows.head_dim) {
      async_copy16(to, rows.data + (begin + row) * rows.stride + 8 * piece);
    } else {
      *reinterpret_cast<Words4*>(to) = Words4{};
    }
  }
}

/// Positions of tokens [begin, end) to shared memory; all zero without ALiBi.
RADGPT_DEVICE void load_positions(const AttentionInput<BFloat16>& input, int begin, int end,
                                  float* positions) {
  const int i = static_cast<int>(threadIdx.x);
  if (i >= kAttentionTile) return;
  positions[i] = input.slopes != nullptr && begin + i < end
                     ? static_cast<float>(load<int64_t>(input.positions + begin + i))
                     : 0.0f;
}

/// d += x y^T: rows from `row` on of tile x with rows 0 to 8 kBlocks of tile y.
template <int kWidth, int kBlocks>
RADGPT_DEVICE void multiply_rows(const uint32_t* x, int row, const uint32_t* y,
                                 float (&d)[kBlocks][4]) {
  constexpr int kStride = kRowWords<kWidth>;
  const uint32_t* x_lane = x + row * kStride + lane_member();
  const uint32_t* y_lane = y + lane_group() * kStride + lane_member();
#pragma unroll 2  // all at once, loads ahead of their use would not fit the registers
  for (int word = 0; word < kWidth / 2; word += 8) {
    const uint32_t a[4] = {x_lane[word], x_lane[word + 8 * kStride], x_lane[word + 4],
                           x_lane[word + 8 * kStride + 4]};
#pragma unroll
    for (int n = 0; n < kBlocks; ++n) {
      const uint32_t* from = y_lane + 8 * n * kStride + word;
      const uint32_t b[2] = {from[0], from[4]};
      multiply_add(d[n], a, b);
    }
  }
}

/// d += p x: p [16, 8 kBlocks] as products are held, rounded to bfloat16, with as many rows of
/// tile x.
template <int kWidth, int kBlocks>
RADGPT_DEVICE void multiply_columns(const float (&p)[kBlocks][4], const uint32_t* x,
                                    float (&d)[kWidth / 8][4]) {
  constexpr int kStride = kRowWords<kWidth>;
  const uint32_t* x_lane = x + lane_group() * kStride + lane_member();
#pragma unroll
  for (int k = 0; k < kBlocks; k += 2) {
    const uint32_t a[4] = {pack_bfloat16(p[k][0], p[k][1]), pack_bfloat16(p[k][2], p[k][3]),
                           pack_bfloat16(p[k + 1][0], p[k + 1][1]),
                           pack_bfloat16(p[k + 1][2], p[k + 1][3])};
#pragma unroll
    for (int n = 0; n < kWidth / 8; ++n) {
      const uint32_t* from = x_lane + 8 * k * kStride + 4 * n;
      const uint32_t b[2] = {transpose_8x8(from[0]), transpose_8x8(from[8 * kStride])};
      multiply_add(d[n], a, b);
    }
  }
}

/// Calls f(value, row, column) for what the lane holds of a tile's product.
template <int kBlocks, typename F>
RADGPT_DEVICE void for_each_place(float (&d)[kBlocks][4], F&& f) {
#pragma unroll
  for (int n = 0; n < kBlocks; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      f(d[n][i], lane_row() + 8 * (i / 2), 8 * n + 2 * lane_member() + i % 2);
    }
  }
}

/// d *= p, element by element.
template <int kBlocks>
RADGPT_DEVICE void multiply_places(const float (&p)[kBlocks][4], float (&d)[kBlocks][4]) {
#pragma unroll
  for (int n = 0; n < kBlocks; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) d[n][i] *= p[n][i];
  }
}

/// Rows `row` and row + 8 of a tile that begins at token `begin`, times factor[0] and factor[1], to
/// those tokens' rows if they lie before `end`.
template <int kWidth>
RADGPT_DEVICE void store_rows(const float (&d)[kWidth / 8][4], const float (&factor)[2], int begin,
                              int end, const HeadRows<BFloat16>& rows) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int token = begin + lane_row() + 8 * half;
    if (token >= end) continue;
    BFloat16* to = rows.data + token * rows.stride + 2 * lane_member();
#pragma unroll
    for (int n = 0; n < kWidth / 8; ++n) {
      if (8 * n >= rows.head_dim) continue;
      store(to + 8 * n,
            pack_bfloat16(d[n][2 * half] * factor[half], d[n][2 * half + 1] * factor[half]));
    }
  }
}

/// Up to kAttentionTile keys, of the prefix or of the segment itself.
struct KeyRange {
  int begin;
  int end;
  bool causal;

  RADGPT_DEVICE bool seen(int key, int query) const {
    return key < end && (!causal || key <= query);
  }
};

/// Tiles of keys that the queries of `tile` see.
RADGPT_DEVICE int prefix_ranges(const AttentionTile& tile) {
  return (tile.prefix_end - tile.prefix_begin + kAttentionTile - 1) / kAttentionTile;
}
RADGPT_DEVICE int key_ranges(const AttentionTile& tile) {
  return prefix_ranges(tile) +
         (tile.end - tile.segment_begin + kAttentionTile - 1) / kAttentionTile;
}
RADGPT_DEVICE KeyRange key_range(const AttentionTile& tile, int i) {
  const int own = i - prefix_ranges(tile);
  const int begin =
      own < 0 ? tile.prefix_begin + i * kAttentionTile : tile.segment_begin + own * kAttentionTile;
  const int limit = own < 0 ? tile.prefix_end : tile.end;
  return {begin, begin + kAttentionTile < limit ? begin + kAttentionTile : limit, own >= 0};
}

/// What turns q . k into a score.
struct Scoring {
  float scale;
  float slope;

  RADGPT_DEVICE float score(float product, float key_position, float query_position) const {
    return product * scale + slope * (key_position - query_position);
  }
};

RADGPT_DEVICE Scoring scoring_of(const AttentionInput<BFloat16>& input, int64_t head) {
  return {1.0f / sqrtf(static_cast<float>(input.head_dim)),
          input.slopes != nullptr ? load<float>(input.slopes + head) : 0.0f};
}

/// The columns of one head in the third `part` (0 q, 1 k, 2 v) of qkv.
template <typename T>
RADGPT_DEVICE HeadRows<T> head_of_qkv(T* qkv, const AttentionInput<BFloat16>& input, int part) {
  const int64_t hidden = input.heads * input.head_dim;
  return {qkv + part * hidden + blockIdx.y * input.head_dim, 3 * hidden,
          static_cast<int>(input.head_dim)};
}
template <typename T>
RADGPT_DEVICE HeadRows<T> head_of_out(T* out, const AttentionInput<BFloat16>& input) {
  return {out + blockIdx.y * input.head_dim, input.heads * input.head_dim,
          static_cast<int>(input.head_dim)};
}

}  // namespace radgpt::kernels
