#include "kernels/primitives/tile_product.h"

#include "kernels/primitives/lanes.h"

namespace radgpt::kernels {

namespace {

/// kRows x kVectors lanes of c stay in registers over the whole depth.
template <typename C, int kRows, int kVectors>
[[gnu::always_inline]] inline void register_block(const TileProduct<C>& p, TileResult result,
                                                  int64_t i, int64_t j) {
  Lanes<C> sums[kRows][kVectors];
  C* c = p.c + i * p.c_row + j;
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      sums[r][v] = Lanes<C>{};
      if (result == TileResult::kAdd) {
        std::memcpy(&sums[r][v], c + r * p.c_row + v * kLanes<C>, sizeof(Lanes<C>));
      }
    }
  }
  const C* a = p.a + i * p.a_row;
  const C* b = p.b + j;
  for (int64_t k = 0; k < p.depth; ++k, a += p.a_column, b += p.b_row) {
    Lanes<C> values[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      std::memcpy(&values[v], b + v * kLanes<C>, sizeof(Lanes<C>));
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sums[r][v] += a[r * p.a_row] * values[v];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      std::memcpy(c + r * p.c_row + v * kLanes<C>, &sums[r][v], sizeof(Lanes<C>));
    }
  }
}

template <typename C, int kRows, int kVectors>
[[gnu::always_inline]] inline void register_column(const TileProduct<C>& p, TileResult result,
                                                   int64_t j) {
  int64_t i = 0;
  for (; i + kRows <= p.rows; i += kRows) register_block<C, kRows, kVectors>(p, result, i, j);
  for (; i < p.rows; ++i) register_block<C, 1, kVectors>(p, result, i, j);
}

template <typename C, int kRows, int kVectors>
[[gnu::always_inline]] inline void blocked_product(const TileProduct<C>& p, TileResult result) {
  const int64_t columns = round_up(p.columns, kLanes<C>);
  int64_t j = 0;
  for (; j + kVectors * kLanes<C> <= columns; j += kVectors * kLanes<C>) {
    register_column<C, kRows, kVectors>(p, result, j);
  }
  for (; j < columns; j += kLanes<C>) register_column<C, kRows, 1>(p, result, j);
}

// Not RADGPT_VECTOR_CLONES: the block that fits the registers differs, and AVX2 is little without
// FMA.
template <typename C>
[[gnu::target("avx512f")]] void product_avx512(const TileProduct<C>& p, TileResult result) {
  blocked_product<C, 8, 2>(p, result);
}

template <typename C>
[[gnu::target("avx2,fma")]] void product_avx2(const TileProduct<C>& p, TileResult result) {
  blocked_product<C, 4, 1>(p, result);
}

template <typename C>
void product_baseline(const TileProduct<C>& p, TileResult result) {
  blocked_product<C, 2, 1>(p, result);
}

template <typename C>
auto fastest_product() {
  if (__builtin_cpu_supports("avx512f")) return product_avx512<C>;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return product_avx2<C>;
  return product_baseline<C>;
}

}  // namespace

template <typename C>
void tile_product(const TileProduct<C>& product, TileResult result) {
  static const auto fastest = fastest_product<C>();
  fastest(product, result);
}

template void tile_product(const TileProduct<float>&, TileResult);
template void tile_product(const TileProduct<double>&, TileResult);

}  // namespace radgpt::kernels
