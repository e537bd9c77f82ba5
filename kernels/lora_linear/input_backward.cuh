#pragma once

#include "kernels/lora_linear/rank_tiles.cuh"

namespace radgpt::kernels {

/// Rows of a block of the backward kernels: what is summed over rows is summed inside a block in
/// their order and over blocks by sum_partials.
inline constexpr int kBackwardRows = 512;
inline constexpr int kBlockColumns = kBlockWarps * kTileColumns;

inline int64_t backward_row_blocks(int64_t rows) { return divide_up(rows, kBackwardRows); }

/// Tiles of ranks whose sums fit the registers of the backward kernels.
inline constexpr int kMostBackwardTiles = 8;

/// What input_backward works on, beside its source.
struct InputBackward {
  int64_t rows;
  int columns;
  const BFloat16* dy;  ///< null: only dA
  int64_t dy_stride;
  const BFloat16* ds;
  int64_t ds_stride;
  /// Per adapter: where its partial sums of dA go, [row blocks, rank, columns]; null: not wanted.
  float* partial[kMostAdapters];
};

/// A of one tile of ranks, as the product dS A wants it: word c holds, of the columns that
/// transpose_8x8 makes of word c, ranks 2t and 2t + 1.
RADGPT_DEVICE void load_up_projection(const AdapterInput<BFloat16>& adapter, int tile, int column,
                                      int columns, uint32_t (&a)[4]) {
  const int group = tile_place().group;
  Words4 words = {};
  if (group < ranks_in_tile(adapter.rank, tile) && column < columns) {
    words = load<Words4>(adapter.a + static_cast<int64_t>(tile * kTileRanks + group) * columns +
                         column);
  }
  transpose_words(words, a);
}

/// dS of rows g and g + 8, ranks 2t and 2t + 1 of a tile.
RADGPT_DEVICE void load_ds(const BFloat16* ds, int64_t ds_stride, int64_t rows, int64_t first_row,
                           int ranks, uint32_t (&words)[2]) {
  const TilePlace place = tile_place();
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int64_t row = first_row + place.group + 8 * h;
    words[h] = row < rows
                   ? load_pair(ds + row * ds_stride + 2 * place.member, ranks - 2 * place.member)
                   : 0u;
  }
}

/// share[h][i] += factor * update where column i of row g + 8 h is kept.
RADGPT_DEVICE void add_kept(const float (&update)[4][4], const uint32_t (&kept)[2], float factor,
                            float (&share)[2][8]) {
#pragma unroll
  for (int h = 0; h < 2; ++h) {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      if (kept[h] >> i & 1) share[h][i] += factor * update[i / 2][2 * h + i % 2];
    }
  }
}

/// Writes this lane's sums of dA: they are of its warp's columns from first_column on.
template <int kTiles>
RADGPT_DEVICE void write_da(const float (&sums)[kTiles][2][4],
                            const AdapterInput<BFloat16>& adapter, int first_column, int columns,
                            float* partial) {
  const TilePlace place = tile_place();
#pragma unroll
  for (int j = 0; j < kTiles; ++j) {
#pragma unroll
    for (int m = 0; m < 2; ++m) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int rank = rank_of_sum(place, i);
        const int column = first_column + column_of_sum(place, m, i);
        if (rank < ranks_in_tile(adapter.rank, j) && column < columns) {
          store(partial + static_cast<int64_t>(j * kTileRanks + rank) * columns + column,
                sums[j][m][i] * kept_factor(adapter.mask));
        }
      }
    }
  }
}

/// One adapter and one tile of rows: share += mask (dS A) / (1 - dropout) if `writes`, and
/// da += (mask x)^T dS.
template <int kTiles>
RADGPT_DEVICE void adapter_backward(const InputBackward& call,
                                    const AdapterInput<BFloat16>& adapter, const Words4 (&x)[2],
                                    const uint32_t (&a)[kTiles][4], int64_t first_row, int column,
                                    bool writes, float (&share)[2][8], float (&da)[kTiles][2][4]) {
  uint32_t kept[2], x_by_column[2][4];
  float update[4][4] = {};
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    kept[h] = kept_columns(adapter.mask, first_row + tile_place().group + 8 * h, column);
    transpose_words(masked(x[h], kept[h]), x_by_column[h]);
  }
#pragma unroll
  for (int j = 0; j < kTiles; ++j) {
    uint32_t ds[2];
    load_ds(call.ds + adapter.column + j * kTileRanks, call.ds_stride, call.rows, first_row,
            ranks_in_tile(adapter.rank, j), ds);
#pragma unroll
    for (int c = 0; c < 4 && writes; ++c) {
      multiply_add(update[c], {ds[0], ds[1], 0, 0}, {a[j][c], 0});
    }
    add_column_products(x_by_column, ds, da[j]);
  }
  if (writes) add_kept(update, kept, kept_factor(adapter.mask), share);
}

/// One pass over a tile of rows and this warp's 32 columns: dY = dY0 + mask (dS A) / (1 - dropout),
/// from which Source writes its gradient, and the partial sums of dA = dS^T dropout(X).
///
/// Source: `Part load(row, column)` reads what both need; `Words4 values(Part)` is X;
/// `void write(Part, gradient, row, column)` takes eight elements of dY, if kWritesGradient.
template <int kAdapters, int kTiles, typename Source>
RADGPT_DEVICE void input_backward(const Source& source, const InputBackward& call,
                                  const AdapterInputs<BFloat16>& inputs) {
  constexpr int kSlots = kAdapters > 0 ? kAdapters : 1;
  const TilePlace place = tile_place();
  const int first_column = static_cast<int>(blockIdx.x) * kBlockColumns +
                           static_cast<int>(threadIdx.x) / kWarp * kTileColumns;
  const int column = first_column + 8 * place.member;
  const int64_t block_row = static_cast<int64_t>(blockIdx.y) * kBackwardRows;
  const bool writes = Source::kWritesGradient && call.dy != nullptr;
  uint32_t a[kSlots][kTiles][4] = {};
  float da[kSlots][kTiles][2][4] = {};
#pragma unroll
  for (int i = 0; i < kAdapters && writes; ++i) {
#pragma unroll
    for (int j = 0; j < kTiles; ++j) {
      load_up_projection(inputs.adapters[i], j, column, call.columns, a[i][j]);
    }
  }
#pragma unroll 1
  for (int step = 0; step < kBackwardRows && block_row + step < call.rows; step += kTileRows) {
    const int64_t first_row = block_row + step;
    typename Source::Part part[2] = {};
    Words4 x[2] = {}, dy[2] = {};
    float share[2][8] = {};  // of the adapters in dY
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int64_t row = first_row + place.group + 8 * h;
      if (row >= call.rows || column >= call.columns) continue;
      part[h] = source.load(row, column);
      x[h] = source.values(part[h]);
      if (writes) dy[h] = load_once(call.dy + row * call.dy_stride + column);
    }
#pragma unroll
    for (int i = 0; i < kAdapters; ++i) {
      adapter_backward<kTiles>(call, inputs.adapters[i], x, a[i], first_row, column, writes, share,
                               da[i]);
    }
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int64_t row = first_row + place.group + 8 * h;
      if (!writes || row >= call.rows || column >= call.columns) continue;
      float gradient[8];
      widen(dy[h], gradient);
#pragma unroll
      for (int i = 0; i < 8; ++i) gradient[i] += share[h][i];
      source.write(part[h], gradient, row, column);
    }
  }
#pragma unroll
  for (int i = 0; i < kAdapters; ++i) {
    if (call.partial[i] == nullptr) continue;
    float* partial =
        call.partial[i] + static_cast<int64_t>(blockIdx.y) * inputs.adapters[i].rank * call.columns;
    write_da<kTiles>(da[i], inputs.adapters[i], first_column, call.columns, partial);
  }
}

}  // namespace radgpt::kernels
