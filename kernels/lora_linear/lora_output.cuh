#pragma once

#include "kernels/lora_linear/input_backward.cuh"
#include "kernels/lora_linear/lora_output.h"

namespace radgpt::kernels {

/// Partial sums of one adapter.
struct OutputPartials {
  float* ds;  ///< [column blocks, rows, rank]
  float* db;  ///< [row blocks, columns of the adapter, rank]
};

inline int64_t column_blocks(const AdapterOutput<BFloat16>& adapter) {
  return divide_up(adapter.row_end - adapter.row_begin, kBlockColumns);
}

/// scale * B of this lane's eight columns of dY, which are rows of the weight: word c holds columns
/// 8t + 2c and 8t + 2c + 1 for rank g of a tile.
RADGPT_DEVICE void load_scaled_b(const BFloat16* b, int64_t stride, int columns, int ranks,
                                 uint32_t (&words)[4]) {
  const TilePlace place = tile_place();
#pragma unroll
  for (int c = 0; c < 4; ++c) {
    uint32_t halves[2] = {};
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int column = 8 * place.member + 2 * c + i;
      if (column < columns && place.group < ranks) {
        halves[i] = load<uint16_t>(b + column * stride + place.group);
      }
    }
    words[c] = halves[0] | halves[1] << 16;
  }
}

/// Adds up what the warps hold of dS [16 rows, ranks] and writes it.
template <int kTiles>
RADGPT_DEVICE void write_ds(const float (&sums)[kTiles][4], int64_t first_row, int64_t rows,
                            int rank, float* ds) {
  RADGPT_SHARED(float, parts, kBlockWarps* kTiles* kTileSums);  // [warps, tiles, 16, 8]
  const int thread = static_cast<int>(threadIdx.x);
  barrier();  // the sums of the tile before have been read
#pragma unroll
  for (int j = 0; j < kTiles; ++j) {
    put_sums(sums[j], parts + (thread / kWarp * kTiles + j) * kTileSums);
  }
  barrier();
  for (int i = thread; i < kTiles * kTileSums; i += kBlockThreads) {
    const int64_t row = first_row + i % kTileSums / kTileRanks;
    const int r = i / kTileSums * kTileRanks + i % kTileRanks;
    if (row < rows && r < rank) store(ds + row * rank + r, sum_of_warps<kTiles>(parts + i));
  }
}

template <int kTiles>
RADGPT_DEVICE void write_db(const float (&sums)[kTiles][2][4], int first_column, int columns,
                            int rank, float* db) {
  const TilePlace place = tile_place();
#pragma unroll
  for (int j = 0; j < kTiles; ++j) {
#pragma unroll
    for (int m = 0; m < 2; ++m) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int r = j * kTileRanks + rank_of_sum(place, i);
        const int column = first_column + column_of_sum(place, m, i);
        if (r < rank && column < columns) {
          store(db + static_cast<int64_t>(column) * rank + r, sums[j][m][i]);
        }
      }
    }
  }
}

// One adapter: 512 rows and 256 of its columns of dY a block. Each warp keeps scale * B and dB of
// its 32 columns in registers while the rows go by, so dY is read once; dS of a row is added up
// over the warps in shared memory and over blocks by finish_ds.
template <int kTiles>
RADGPT_KERNEL(kBlockThreads, blocks_for(kTiles))
void lora_output_kernel(LoraOutputBackward<BFloat16> call, AdapterOutput<BFloat16> adapter,
                        OutputPartials partials) {
  const TilePlace place = tile_place();
  const int columns = static_cast<int>(adapter.row_end - adapter.row_begin);
  const int rank = static_cast<int>(adapter.rank);
  const int first_column = static_cast<int>(blockIdx.x) * kBlockColumns +
                           static_cast<int>(threadIdx.x) / kWarp * kTileColumns;
  const int column = first_column + 8 * place.member;
  const int64_t block_row = static_cast<int64_t>(blockIdx.y) * kBackwardRows;
  uint32_t b[kTiles][4] = {};
  float db[kTiles][2][4] = {};
  const BFloat16* border =
      call.weight_border + (adapter.row_begin + first_column) * call.weight_stride + adapter.column;
#pragma unroll
  for (int j = 0; j < kTiles; ++j) {
    load_scaled_b(border + j * kTileRanks, call.weight_stride, columns - first_column,
                  ranks_in_tile(rank, j), b[j]);
  }
#pragma unroll 1
  for (int step = 0; step < kBackwardRows && block_row + step < call.rows; step += kTileRows) {
    const int64_t first_row = block_row + step;
    Words4 dy[2] = {};
    uint32_t dy_by_column[2][4];
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int64_t row = first_row + place.group + 8 * h;
      if (row < call.rows && column < columns) {
        dy[h] = load_once(call.dy + row * call.out_features + adapter.row_begin + column);
      }
      transpose_words(dy[h], dy_by_column[h]);
    }
    float ds[kTiles][4] = {};
#pragma unroll
    for (int j = 0; j < kTiles; ++j) {
#pragma unroll
      for (int c = 0; c < 4; c += 2) {
        multiply_add(ds[j], {dy[0].word[c], dy[1].word[c], dy[0].word[c + 1], dy[1].word[c + 1]},
                     {b[j][c], b[j][c + 1]});
      }
      uint32_t s[2];
      load_ds(call.s + adapter.column + j * kTileRanks, call.s_stride, call.rows, first_row,
              ranks_in_tile(rank, j), s);
      add_column_products(dy_by_column, s, db[j]);
    }
    write_ds<kTiles>(ds, first_row, call.rows, rank,
                     partials.ds + static_cast<int64_t>(blockIdx.x) * call.rows * rank);
  }
  write_db<kTiles>(db, first_column, columns, rank,
                   partials.db + static_cast<int64_t>(blockIdx.y) * columns * rank);
}

inline constexpr int kFinishThreads = 256;

// Adds up dS over column blocks, one element of dS a thread; zero where no adapter is.
RADGPT_KERNEL(kFinishThreads, 4)
static void finish_ds_kernel(LoraOutputBackward<BFloat16> call, OutputPartials first,
                             OutputPartials second, OutputPartials third) {
  const OutputPartials partials[kMostAdapters] = {first, second, third};
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kFinishThreads + threadIdx.x;
  const int64_t row = at / call.border, column = at % call.border;
  if (row >= call.rows) return;
  float sum = 0.0f;
#pragma unroll
  for (int i = 0; i < kMostAdapters; ++i) {
    const AdapterOutput<BFloat16>& adapter = call.adapters[i];
    const int64_t rank = column - adapter.column;
    if (i >= call.count || rank < 0 || rank >= adapter.rank) continue;
    const int64_t columns = adapter.row_end - adapter.row_begin;
    for (int64_t block = 0; block * kBlockColumns < columns; ++block) {
      sum += load<float>(partials[i].ds + (block * call.rows + row) * adapter.rank + rank);
    }
  }
  store(call.ds + row * call.ds_stride + column, BFloat16(sum));
}

}  // namespace radgpt::kernels
