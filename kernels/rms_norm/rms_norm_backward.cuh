#pragma once

#include "kernels/lora_linear/bordered_input.cuh"
#include "kernels/lora_linear/input_backward.cuh"
#include "kernels/rms_norm/rms_norm_forward.cuh"

namespace radgpt::kernels {

/// X of a block of rows anew, for the sums of dA.
struct RmsNormBackwardSource {
  const BFloat16* x;
  const BFloat16* weight;
  const float* inverse_rms;
  int columns;

  static constexpr bool kWritesGradient = false;
  struct Part {
    Words4 x;
    float inverse_rms;
    int column;
  };

  RADGPT_DEVICE Part load(int64_t row, int column) const {
    return {load_once(x + row * columns + column), kernels::load<float>(inverse_rms + row), column};
  }
  RADGPT_DEVICE Words4 values(const Part& part) const {
    return normalised(part.x, kernels::load<Words4>(weight + part.column), part.inverse_rms);
  }
  RADGPT_DEVICE void write(const Part&, const float (&)[8], int64_t, int) const {}
};

template <int kAdapters, int kTiles>
RADGPT_KERNEL(kBlockThreads, blocks_for(kAdapters* kTiles))
void rms_norm_da_kernel(RmsNormBackward<BFloat16> call, InputBackward backward) {
  input_backward<kAdapters, kTiles>(
      RmsNormBackwardSource{call.x, call.weight, call.inverse_rms, static_cast<int>(call.columns)},
      backward, call.inputs);
}

/// dS . S of a row: what its adapters' share adds to the sum of g n. For that sum is
///
///   sum_k weight_k n_k mask_k (dS A)_k / (1 - dropout) = sum_r dS_r (dropout(y) A^T)_r
RADGPT_DEVICE float adapters_projection(const RmsNormBackward<BFloat16>& call,
                                        const AdapterInput<BFloat16>& adapter, int64_t row) {
  float sum = 0.0f;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int64_t rank = lane; rank < adapter.rank; rank += kWarp) {
    const int64_t column = adapter.column + rank;
    const float ds = load<BFloat16>(call.gradients.ds + row * call.gradients.ds_stride + column);
    sum += ds * load<BFloat16>(call.s + row * call.s_stride + column);
  }
  return sum;
}

/// mean(g n) of the block's rows, two a warp, into shared memory.
template <int kAdapters>
RADGPT_DEVICE void write_projections(const RmsNormBackward<BFloat16>& call, int64_t first_row,
                                     float* projection, float* inverse_rms) {
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int r = warp; r < kRowsPerBlock && first_row + r < call.rows; r += kBlockWarps) {
    const int64_t row = first_row + r;
    float sum = 0.0f;
    for (int64_t column = 8 * lane; column < call.columns; column += 8 * kWarp) {
      const Words4 x = load<Words4>(call.x + row * call.columns + column);
      const Words4 dy = load<Words4>(call.dy + row * call.dy_stride + column);
      const Words4 weight = load<Words4>(call.weight + column);
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        sum += low_bfloat16(dy.word[c]) * low_bfloat16(weight.word[c]) * low_bfloat16(x.word[c]) +
               high_bfloat16(dy.word[c]) * high_bfloat16(weight.word[c]) * high_bfloat16(x.word[c]);
      }
    }
    const float inverse = load<float>(call.inverse_rms + row);
    sum *= inverse;
#pragma unroll
    for (int i = 0; i < kAdapters; ++i) {
      sum += adapters_projection(call, call.inputs.adapters[i], row);
    }
    sum = warp_sum(sum) / static_cast<float>(call.columns);
    if (lane == 0) {
      projection[r] = sum;
      inverse_rms[r] = inverse;
    }
  }
}

/// The adapters' share of dY, rows g and g + 8, eight columns.
template <int kAdapters, int kTiles>
RADGPT_DEVICE void adapters_share(const RmsNormBackward<BFloat16>& call, int64_t first_row,
                                  int column, float (&share)[2][8]) {
  const TilePlace place = tile_place();
  const int columns = static_cast<int>(call.columns);
#pragma unroll
  for (int i = 0; i < kAdapters; ++i) {
    const AdapterInput<BFloat16>& adapter = call.inputs.adapters[i];
    float update[4][4] = {};
#pragma unroll
    for (int j = 0; j < kTiles; ++j) {
      uint32_t a[4], ds[2];
      load_up_projection(adapter, j, column, columns, a);
      load_ds(call.gradients.ds + adapter.column + j * kTileRanks, call.gradients.ds_stride,
              call.rows, first_row, ranks_in_tile(adapter.rank, j), ds);
#pragma unroll
      for (int c = 0; c < 4; ++c) multiply_add(update[c], {ds[0], ds[1], 0, 0}, {a[c], 0});
    }
    const uint32_t kept[2] = {kept_columns(adapter.mask, first_row + place.group, column),
                              kept_columns(adapter.mask, first_row + place.group + 8, column)};
    add_kept(update, kept, kept_factor(adapter.mask), share);
  }
}

/// dx of eight columns of one row.
RADGPT_DEVICE void write_dx(const RmsNormBackward<BFloat16>& call, const float (&share)[8],
                            int64_t row, int column, float projection, float inverse_rms) {
  const int64_t at = row * call.columns + column;
  float dy[8], x[8], weight[8], residual[8] = {}, dx[8];
  widen(load<Words4>(call.dy + row * call.dy_stride + column), dy);
  widen(load<Words4>(call.x + at), x);
  widen(load<Words4>(call.weight + column), weight);
  if (call.residual_gradient != nullptr) widen(load_once(call.residual_gradient + at), residual);
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const float g = (dy[i] + share[i]) * weight[i];
    dx[i] = (g - x[i] * inverse_rms * projection) * inverse_rms + residual[i];
  }
  store(call.dx + at, packed(dx));
}

// Sixteen rows a block, as in the forward pass: first mean(g n) of each, then, from the cache, dx.
// The adapters' share of dY is made once, in the second pass; the first needs only dS . S of it.
// No sums stay in registers, so two blocks fit with more tiles than elsewhere.
template <int kAdapters, int kTiles>
RADGPT_KERNEL(kBlockThreads, kAdapters* kTiles <= kMostBackwardTiles ? 2 : 1)
void rms_norm_dx_kernel(RmsNormBackward<BFloat16> call) {
  RADGPT_SHARED(float, projection, kRowsPerBlock);
  RADGPT_SHARED(float, inverse_rms, kRowsPerBlock);
  const TilePlace place = tile_place();
  const int64_t first_row = static_cast<int64_t>(blockIdx.x) * kRowsPerBlock;
  write_projections<kAdapters>(call, first_row, projection, inverse_rms);
  barrier();
#pragma unroll 1
  for (int first = static_cast<int>(threadIdx.x) / kWarp * kTileColumns; first < call.columns;
       first += kBlockWarps * kTileColumns) {
    const int column = first + 8 * place.member;
    float share[2][8] = {};
    adapters_share<kAdapters, kTiles>(call, first_row, column, share);
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int row_of_block = place.group + 8 * h;
      const int64_t row = first_row + row_of_block;
      if (row < call.rows && column < call.columns) {
        write_dx(call, share[h], row, column, projection[row_of_block], inverse_rms[row_of_block]);
      }
    }
  }
}

inline constexpr int kWeightRows = 256;
inline constexpr int kWeightThreads = 128;

/// The share of one adapter in one element of dY.
RADGPT_DEVICE float adapter_share(const RmsNormBackward<BFloat16>& call,
                                  const AdapterInput<BFloat16>& adapter, int64_t row,
                                  int64_t column) {
  const uint32_t kept = kept_columns(adapter.mask, row, static_cast<int>(column / 8 * 8));
  if ((kept >> (column % 8) & 1) == 0) return 0.0f;
  const BFloat16* ds = call.gradients.ds + row * call.gradients.ds_stride + adapter.column;
  float sum = 0.0f;
  for (int64_t rank = 0; rank < adapter.rank; ++rank) {
    sum += static_cast<float>(load<BFloat16>(ds + rank)) *
           load<BFloat16>(adapter.a + rank * call.columns + column);
  }
  return sum * kept_factor(adapter.mask);
}

// Partial sums of dweight: one column a thread, kWeightRows rows a block. A norm is seldom trained,
// and then mostly without adapters, whose share is made the plain way.
RADGPT_KERNEL(kWeightThreads, 4)
static void rms_norm_dweight_kernel(RmsNormBackward<BFloat16> call, float* partial) {
  const int64_t column = static_cast<int64_t>(blockIdx.x) * kWeightThreads + threadIdx.x;
  const int64_t first = static_cast<int64_t>(blockIdx.y) * kWeightRows;
  if (column >= call.columns) return;
  float sum = 0.0f;
  for (int64_t row = first; row < first + kWeightRows && row < call.rows; ++row) {
    float dy = load<BFloat16>(call.dy + row * call.dy_stride + column);
#pragma unroll
    for (int i = 0; i < kMostAdapters; ++i) {
      if (i < call.inputs.count) dy += adapter_share(call, call.inputs.adapters[i], row, column);
    }
    const float x = load<BFloat16>(call.x + row * call.columns + column);
    sum += dy * x * load<float>(call.inverse_rms + row);
  }
  store(partial + static_cast<int64_t>(blockIdx.y) * call.columns + column, sum);
}

}  // namespace radgpt::kernels
