#include <algorithm>
#include <vector>

#include "kernels/gemm/gemm.h"
#include "kernels/primitives/rounding.h"
#include "kernels/primitives/row_loops.h"
#include "kernels/primitives/tile_product.h"

namespace radgpt::kernels {

namespace {

// A tile of d is summed in one buffer while blocks of both factors, in the type of sums, pass by.
constexpr int64_t kTileRows = 128;
constexpr int64_t kTileColumns = 128;
constexpr int64_t kDepth = 256;

/// Where a block of op(factor) begins, and its size.
struct Part {
  int64_t row, column, rows, columns;
};

/// to[rows, columns] = that part of op(factor), with row stride `to_stride`.
template <typename T>
void widen_part(const Factor<T>& factor, const Part& part, Compute<T>* to, int64_t to_stride) {
  if (factor.transpose == Transpose::kNo) {
    for (int64_t i = 0; i < part.rows; ++i) {
      const T* from = factor.data + (part.row + i) * factor.stride + part.column;
      widen_row(from, part.columns, to + i * to_stride);
    }
    return;
  }
  for (int64_t j = 0; j < part.columns; ++j) {
    const T* from = factor.data + (part.column + j) * factor.stride + part.row;
    for (int64_t i = 0; i < part.rows; ++i) to[i * to_stride + j] = from[i];
  }
}

template <typename T>
struct Buffers {
  std::vector<Compute<T>> a = std::vector<Compute<T>>(kTileRows * kDepth);
  std::vector<Compute<T>> b = std::vector<Compute<T>>(kDepth * kTileColumns);
  std::vector<Compute<T>> sums = std::vector<Compute<T>>(kTileRows * kTileColumns);
};

template <typename T, typename Out>
void tile_of_d(const Gemm<T, Out>& call, int64_t row, int64_t column, Buffers<T>& buffers) {
  using C = Compute<T>;
  const int64_t rows = std::min(kTileRows, call.m - row);
  const int64_t columns = std::min(kTileColumns, call.n - column);
  std::fill(buffers.sums.begin(), buffers.sums.end(), C{0});
  for (int64_t first = 0; first < call.k; first += kDepth) {
    const int64_t depth = std::min(kDepth, call.k - first);
    widen_part(call.a, {row, first, rows, depth}, buffers.a.data(), kDepth);
    widen_part(call.b, {first, column, depth, columns}, buffers.b.data(), kTileColumns);
    tile_product<C>({.rows = rows,
                     .columns = columns,
                     .depth = depth,
                     .a = buffers.a.data(),
                     .a_row = kDepth,
                     .a_column = 1,
                     .b = buffers.b.data(),
                     .b_row = kTileColumns,
                     .c = buffers.sums.data(),
                     .c_row = kTileColumns},
                    TileResult::kAdd);
  }
  for (int64_t i = 0; i < rows; ++i) {
    Out* d = call.d + (row + i) * call.d_stride + column;
    for (int64_t j = 0; j < columns; ++j) {
      C value = static_cast<C>(call.alpha) * buffers.sums[i * kTileColumns + j];
      if (call.beta != 0.0f) value += static_cast<C>(call.beta) * static_cast<C>(d[j]);
      d[j] = static_cast<Out>(value);
    }
  }
}

}  // namespace

template <typename T, typename Out>
void gemm_cpu(const Gemm<T, Out>& call, const Workers& workers) {
  const int64_t across = divide_up(call.n, kTileColumns);
  const int64_t down = divide_up(call.m, kTileRows);
  workers.run(down * across, [&](int64_t begin, int64_t end) {
    Buffers<T> buffers;
    for (int64_t tile = begin; tile < end; ++tile) {
      tile_of_d(call, tile / across * kTileRows, tile % across * kTileColumns, buffers);
    }
  });
}

template void gemm_cpu(const Gemm<float, float>&, const Workers&);
template void gemm_cpu(const Gemm<double, double>&, const Workers&);
template void gemm_cpu(const Gemm<BFloat16, BFloat16>&, const Workers&);
template void gemm_cpu(const Gemm<BFloat16, float>&, const Workers&);

}  // namespace radgpt::kernels
