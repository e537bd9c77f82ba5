#pragma once

#include "kernels/primitives/adapter_inputs.h"
#include "kernels/primitives/lane_values.cuh"
#include "kernels/primitives/rounding.h"

namespace radgpt::kernels {

// A warp works on 16 rows and 32 columns at a time. With g = lane / 4 and t = lane % 4, a lane
// holds columns 8t .. 8t + 7 of rows g and g + 8: 16 bytes a row, and two calls of Philox. The
// tensor cores want columns 2t, 2t + 1, 2t + 8 and 2t + 9 of a lane; but the order of a sum's terms
// is ours to choose as long as both factors agree, so nothing is moved between lanes for products
// over columns. For products over rows, transpose_8x8 turns word c of a row into columns 8 (g / 2)
// + 2 c + g % 2 of rows 2t, 2t + 1.

inline constexpr int kTileRows = 16;
inline constexpr int kTileColumns = 32;  ///< of one warp
inline constexpr int kTileRanks = 8;
inline constexpr int kBlockWarps = 8;
inline constexpr int kBlockThreads = kBlockWarps * kWarp;

/// Blocks that the registers of a multiprocessor must hold at a time: few tiles of ranks leave room
/// for two, which hide each other's waits for memory.
constexpr int blocks_for(int tiles) { return tiles <= 2 ? 2 : 1; }

/// Where a lane stands in the tile of its warp.
struct TilePlace {
  int group;   ///< g: its rows are g and g + 8
  int member;  ///< t: its columns are 8t to 8t + 7
};

RADGPT_DEVICE TilePlace tile_place() {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  return {lane / 4, lane % 4};
}

/// Bit i of the result: column + i of the row is kept, for eight columns from a multiple of eight
/// on.
RADGPT_DEVICE uint32_t kept_columns(const DropoutMask& mask, int64_t row, int column) {
  if (!mask.drops()) return 0xFF;
  const auto words = mask.words(static_cast<uint32_t>(column / 8), static_cast<uint32_t>(row));
  uint32_t kept = 0;
#pragma unroll
  for (int w = 0; w < 4; ++w) {
    kept |= uint32_t{(words[w] & 0xFFFF) >= mask.threshold} << (2 * w);
    kept |= uint32_t{words[w] >> 16 >= mask.threshold} << (2 * w + 1);
  }
  return kept;
}

/// The eight values with the dropped ones zero. What is kept is scaled where sums are written.
RADGPT_DEVICE Words4 masked(const Words4& values, uint32_t kept) {
  Words4 result;
#pragma unroll
  for (int c = 0; c < 4; ++c) {
    const uint32_t low = kept >> (2 * c) & 1 ? 0x0000FFFFu : 0u;
    const uint32_t high = kept >> (2 * c + 1) & 1 ? 0xFFFF0000u : 0u;
    result.word[c] = values.word[c] & (low | high);
  }
  return result;
}

RADGPT_DEVICE float kept_factor(const DropoutMask& mask) { return static_cast<float>(mask.kept); }

/// Ranks of an adapter in its tile `tile`: 8, fewer in the last one, none behind it.
RADGPT_DEVICE int ranks_in_tile(int64_t rank, int tile) {
  const int left = static_cast<int>(rank) - tile * kTileRanks;
  return left < kTileRanks ? left : kTileRanks;
}

/// Two neighbouring bfloat16 at p, of which `count` are there, the others zero. Mostly they begin
/// at an even column of an even stride and are one word.
RADGPT_DEVICE uint32_t load_pair(const BFloat16* p, int count) {
  if (count > 1 && reinterpret_cast<uintptr_t>(p) % 4 == 0) return load<uint32_t>(p);
  const uint32_t low = count > 0 ? load<uint16_t>(p) : 0u;
  const uint32_t high = count > 1 ? load<uint16_t>(p + 1) : 0u;
  return low | high << 16;
}

/// sums += values^T q over the 16 rows of a tile: sums[m] holds, in the layout of multiply_add,
/// columns of words 2m and 2m + 1 (see above) by eight ranks.
///
///   values_by_column[h][c]   word c of rows g + 8h, transposed
///   q[h]                     ranks 2t, 2t + 1 of rows g + 8h
RADGPT_DEVICE void add_column_products(const uint32_t (&values_by_column)[2][4],
                                       const uint32_t (&q)[2], float (&sums)[2][4]) {
  const uint32_t by_rank[2] = {transpose_8x8(q[0]), transpose_8x8(q[1])};
#pragma unroll
  for (int m = 0; m < 2; ++m) {
    const uint32_t columns[4] = {values_by_column[0][2 * m], values_by_column[0][2 * m + 1],
                                 values_by_column[1][2 * m], values_by_column[1][2 * m + 1]};
    multiply_add(sums[m], columns, by_rank);
  }
}

RADGPT_DEVICE void transpose_words(const Words4& values, uint32_t (&by_column)[4]) {
#pragma unroll
  for (int c = 0; c < 4; ++c) by_column[c] = transpose_8x8(values.word[c]);
}

/// Of the sums that add_column_products left in this lane, element i of sums[m]: its column within
/// the warp's 32 and its rank within the tile.
RADGPT_DEVICE int column_of_sum(const TilePlace& place, int m, int i) {
  return 8 * (place.group / 2) + 2 * (2 * m + i / 2) + place.group % 2;
}
RADGPT_DEVICE int rank_of_sum(const TilePlace& place, int i) { return 2 * place.member + i % 2; }

/// Sums of a tile of rows and ranks in shared memory: [16, 8].
inline constexpr int kTileSums = kTileRows * kTileRanks;

/// Lays one warp's sums down at `tile`, two at a time: of such stores half a warp goes at once, and
/// rows of 32 bytes let its four meet in no bank.
RADGPT_DEVICE void put_sums(const float (&sums)[4], float* tile) {
  struct alignas(8) Pair {
    float low, high;
  };
  const TilePlace place = tile_place();
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    float* to = tile + (place.group + 8 * h) * kTileRanks + 2 * place.member;
    *reinterpret_cast<Pair*>(to) = {sums[2 * h], sums[2 * h + 1]};
  }
}

/// Where the sum of a row and a rank of any tile is, in tiles that follow each other.
RADGPT_DEVICE int place_of_sum(int row, int rank) {
  return rank / kTileRanks * kTileSums + row * kTileRanks + rank % kTileRanks;
}

/// Adds up, in the order of the warps, what each of them has put down in kTiles tiles.
template <int kTiles>
RADGPT_DEVICE float sum_of_warps(const float* parts) {
  float sum = 0.0f;
#pragma unroll
  for (int warp = 0; warp < kBlockWarps; ++warp) sum += parts[warp * kTiles * kTileSums];
  return sum;
}

}  // namespace radgpt::kernels
