#pragma once

#include "kernels/lora_linear/rank_tiles.cuh"

namespace radgpt::kernels {

/// Where a forward kernel writes [X | S].
struct BorderedOutput {
  int64_t rows;
  int columns;
  BFloat16* y;
  int64_t stride;
  int border;
};

inline constexpr int kRowsPerBlock = kTileRows;

/// Shared memory of write_bordered_rows.
constexpr size_t bordered_shared_bytes(int adapters, int tiles) {
  return static_cast<size_t>(kBlockWarps * adapters * tiles * kTileSums) * sizeof(float);
}

/// sums[j] += x A^T of one tile of 16 rows and 32 columns, for each tile of eight ranks.
template <int kTiles>
RADGPT_DEVICE void add_down_projection(const AdapterInput<BFloat16>& adapter, const Words4 (&x)[2],
                                       int column, int columns, float (&sums)[kTiles][4]) {
  const int group = tile_place().group;
#pragma unroll
  for (int j = 0; j < kTiles; ++j) {
    Words4 a = {};
    if (group < ranks_in_tile(adapter.rank, j) && column < columns) {
      a = load<Words4>(adapter.a + static_cast<int64_t>(j * kTileRanks + group) * columns + column);
    }
#pragma unroll
    for (int c = 0; c < 4; c += 2) {
      multiply_add(sums[j], {x[0].word[c], x[1].word[c], x[0].word[c + 1], x[1].word[c + 1]},
                   {a.word[c], a.word[c + 1]});
    }
  }
}

/// Adds up the S of all warps and writes the border of the block's rows, zero where no adapter is.
template <int kAdapters, int kTiles>
RADGPT_DEVICE void write_border(const BorderedOutput& out, const AdapterInputs<BFloat16>& inputs,
                                const float (&sums)[kAdapters > 0 ? kAdapters : 1][kTiles][4],
                                int64_t first_row) {
  RADGPT_DYNAMIC_SHARED(float, parts);  // [warps, adapters, tiles, 16, 8]
  const int thread = static_cast<int>(threadIdx.x);
  float* mine = parts + thread / kWarp * kAdapters * kTiles * kTileSums;
#pragma unroll
  for (int i = 0; i < kAdapters; ++i) {
#pragma unroll
    for (int j = 0; j < kTiles; ++j) put_sums(sums[i][j], mine + (i * kTiles + j) * kTileSums);
  }
  barrier();
  for (int at = thread; at < kRowsPerBlock * out.border; at += kBlockThreads) {
    const int row = at / out.border, column = at % out.border;
    if (first_row + row >= out.rows) continue;
    float s = 0.0f;
#pragma unroll
    for (int i = 0; i < kAdapters; ++i) {
      const AdapterInput<BFloat16>& adapter = inputs.adapters[i];
      const int rank = column - static_cast<int>(adapter.column);
      if (rank < 0 || rank >= adapter.rank) continue;
      s = sum_of_warps<kAdapters * kTiles>(parts + i * kTiles * kTileSums +
                                           place_of_sum(row, rank)) *
          kept_factor(adapter.mask);
    }
    store(out.y + (first_row + row) * out.stride + out.columns + column, BFloat16(s));
  }
}

/// Writes rows [first_row, first_row + 16) of [X | S]. Source gives eight values of X:
/// `Words4 values(int row_of_block, int64_t row, int column) const`. Each warp takes every
/// eighth 32 columns; X goes from registers both to memory and into the product with A.
template <int kAdapters, int kTiles, typename Source>
RADGPT_DEVICE void write_bordered_rows(const Source& source, const BorderedOutput& out,
                                       const AdapterInputs<BFloat16>& inputs, int64_t first_row) {
  const TilePlace place = tile_place();
  float sums[kAdapters > 0 ? kAdapters : 1][kTiles][4] = {};
  // Lanes behind the last column stay: the tensor cores need the whole warp.
#pragma unroll 1
  for (int first = static_cast<int>(threadIdx.x) / kWarp * kTileColumns; first < out.columns;
       first += kBlockWarps * kTileColumns) {
    const int column = first + 8 * place.member;
    Words4 x[2] = {};
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int row_of_block = place.group + 8 * h;
      const int64_t row = first_row + row_of_block;
      if (row < out.rows && column < out.columns) {
        x[h] = source.values(row_of_block, row, column);
        store(out.y + row * out.stride + column, x[h]);
      }
    }
#pragma unroll
    for (int i = 0; i < kAdapters; ++i) {
      const AdapterInput<BFloat16>& adapter = inputs.adapters[i];
      Words4 kept[2];
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        kept[h] = masked(x[h], kept_columns(adapter.mask, first_row + place.group + 8 * h, column));
      }
      add_down_projection<kTiles>(adapter, kept, column, out.columns, sums[i]);
    }
  }
  write_border<kAdapters, kTiles>(out, inputs, sums, first_row);
}

}  // namespace radgpt::kernels
