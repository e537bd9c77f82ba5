#include "kernels/primitives/thin_product_bfloat16.h"

#include <immintrin.h>

namespace radgpt::kernels {

namespace {

/// Of which 32 columns from k on count.
inline uint32_t kept_columns(KeptBits kept, int64_t k, int64_t columns) {
  const uint32_t bits = kept == nullptr ? ~0u : static_cast<uint32_t>(kept[k / 64] >> (k % 64));
  return columns - k >= 32 ? bits : bits & ((1u << (columns - k)) - 1);
}

inline KeptBits kept_of_row(KeptBits kept, int64_t row, int64_t columns) {
  return kept == nullptr ? nullptr : kept + row * mask_words(columns);
}

[[gnu::target("avx512bw"), gnu::always_inline]] inline __m512i take_kept(const BFloat16* from,
                                                                         uint32_t kept) {
  return _mm512_maskz_loadu_epi16(kept, from);
}

/// sums += products of pairs of bfloat16.
[[gnu::target("avx512bf16"), gnu::always_inline]] inline void add_products(__m512& sums,
                                                                           const __m512i& a,
                                                                           const __m512i& b) {
  sums = _mm512_dpbf16_ps(sums, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
}

/// The sum of all lanes, in each of them.
[[gnu::target("avx512f"), gnu::always_inline]] inline float total(const __m512& lanes) {
  using Order = int32_t __attribute__((vector_size(64)));
  __m512 sums = lanes;
  sums += __builtin_shuffle(sums, Order{8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7});
  sums += __builtin_shuffle(sums, Order{4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11});
  sums += __builtin_shuffle(sums, Order{2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13});
  sums += __builtin_shuffle(sums, Order{1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14});
  return sums[0];
}

/// kRows rows of x from row `first` on, with 8 rows of a.
template <int kRows>
[[gnu::target("avx512bw,avx512bf16")]] void rows_by_rows(const ThinRows<BFloat16>& x, int64_t first,
                                                         const BFloat16* a, float* s,
                                                         int64_t s_stride) {
  const int64_t a_stride = round_up(x.columns, kColumnBlock);
  __m512 sums[kRows][kRankBlock] = {};
  for (int64_t k = 0; k < x.columns; k += kColumnBlock) {
    __m512i values[kRows];
#pragma GCC unroll 4
    for (int i = 0; i < kRows; ++i) {
      const int64_t row = first + i;
      values[i] = take_kept(x.values + row * x.stride + k,
                            kept_columns(kept_of_row(x.kept, row, x.columns), k, x.columns));
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRankBlock; ++r) {
      const __m512i factors = _mm512_loadu_si512(a + r * a_stride + k);
#pragma GCC unroll 4
      for (int i = 0; i < kRows; ++i) add_products(sums[i][r], values[i], factors);
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 8
    for (int r = 0; r < kRankBlock; ++r) s[(first + i) * s_stride + r] = total(sums[i][r]);
  }
}

/// 8 rows of sums. pairs: [rows / 2, 8] of s.
[[gnu::target("avx512bw,avx512bf16")]] void add_transposed(
    const uint32_t (&pairs)[kMostThinRows / 2][kRankBlock], const ThinRows<BFloat16>& x,
    float* sums) {
  using Order = int16_t __attribute__((vector_size(64)));
  const Order lower = {0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
                       8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
  const Order upper = lower + 16;
  const int64_t stride = round_up(x.columns, kColumnBlock);
  for (int64_t k = 0; k < x.columns; k += kColumnBlock) {
    __m512 left[kRankBlock], right[kRankBlock];
#pragma GCC unroll 8
    for (int r = 0; r < kRankBlock; ++r) {
      left[r] = _mm512_loadu_ps(sums + r * stride + k);
      right[r] = _mm512_loadu_ps(sums + r * stride + k + 16);
    }
    for (int64_t row = 0; row < x.count; row += 2) {
      const BFloat16* values = x.values + row * x.stride + k;
      const KeptBits kept = kept_of_row(x.kept, row, x.columns);
      const __m512i even = take_kept(values, kept_columns(kept, k, x.columns));
      __m512i odd{};
      if (row + 1 < x.count) {
        odd = take_kept(values + x.stride,
                        kept_columns(kept_of_row(x.kept, row + 1, x.columns), k, x.columns));
      }
      const __m512i first = _mm512_permutex2var_epi16(even, reinterpret_cast<__m512i>(lower), odd);
      const __m512i second = _mm512_permutex2var_epi16(even, reinterpret_cast<__m512i>(upper), odd);
#pragma GCC unroll 8
      for (int r = 0; r < kRankBlock; ++r) {
        const __m512i pair = _mm512_set1_epi32(static_cast<int>(pairs[row / 2][r]));
        add_products(left[r], first, pair);
        add_products(right[r], second, pair);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRankBlock; ++r) {
      _mm512_storeu_ps(sums + r * stride + k, left[r]);
      _mm512_storeu_ps(sums + r * stride + k + 16, right[r]);
    }
  }
}

/// kRows rows of y from row `first` on, += factor * s a of 8 ranks. pairs: of s; a: in pairs.
template <int kRows>
[[gnu::target("avx512bw,avx512bf16")]] void add_product_rows(
    const uint32_t (&pairs)[kMostThinRows][kRankBlock / 2], const RankPairs& a, KeptBits kept,
    float factor, float* y, int64_t y_stride, int64_t first) {
  const int64_t a_stride = round_up(a.columns, kLanes<float>);
  __m512i s[kRows][kRankBlock / 2];
#pragma GCC unroll 4
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kRankBlock / 2; ++j) {
      s[i][j] = _mm512_set1_epi32(static_cast<int>(pairs[first + i][j]));
    }
  }
  for (int64_t k = 0; k < a.columns; k += kLanes<float>) {
    __m512 sums[kRows] = {};
#pragma GCC unroll 4
    for (int j = 0; j < kRankBlock / 2; ++j) {
      const __m512i factors = _mm512_loadu_si512(a.values + j * a_stride + k);
#pragma GCC unroll 4
      for (int i = 0; i < kRows; ++i) add_products(sums[i], factors, s[i][j]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < kRows; ++i) {
      const auto here = static_cast<__mmask16>(
          kept_columns(kept_of_row(kept, first + i, a.columns), k, a.columns));
      float* to = y + (first + i) * y_stride + k;
      _mm512_mask_storeu_ps(to, here, _mm512_maskz_loadu_ps(here, to) + sums[i] * factor);
    }
  }
}

}  // namespace

bool multiplies_bfloat16() {
  static const bool does =
      __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw");
  return does;
}

void bfloat16_rows_by_rows(const ThinRows<BFloat16>& x, const BFloat16* a, int64_t rank, float* s,
                           int64_t s_stride) {
  const int64_t block = kRankBlock * round_up(x.columns, kColumnBlock);
  for (int64_t r = 0; r < rank; r += kRankBlock, a += block) {
    int64_t row = 0;
    for (; row + 2 <= x.count; row += 2) rows_by_rows<2>(x, row, a, s + r, s_stride);
    for (; row < x.count; ++row) rows_by_rows<1>(x, row, a, s + r, s_stride);
  }
}

void bfloat16_add_product(const ThinRows<BFloat16>& s, const RankPairs& a, KeptBits kept,
                          float factor, float* y, int64_t y_stride) {
  RankPairs block = a;
  for (int64_t first = 0; first < a.rank; first += kRankBlock) {
    uint32_t pairs[kMostThinRows][kRankBlock / 2] = {};
    for (int64_t i = 0; i < s.count; ++i) {
      const BFloat16* row = s.values + i * s.stride + first;
      for (int64_t r = 0; r < std::min(kRankBlock, a.rank - first); ++r) {
        pairs[i][r / 2] |= static_cast<uint32_t>(row[r].bits) << (r % 2 * 16);
      }
    }
    int64_t i = 0;
    for (; i + 4 <= s.count; i += 4) {
      add_product_rows<4>(pairs, block, kept, factor, y, y_stride, i);
    }
    for (; i < s.count; ++i) add_product_rows<1>(pairs, block, kept, factor, y, y_stride, i);
    block.values += kRankBlock / 2 * round_up(a.columns, kLanes<float>);
  }
}

void bfloat16_add_transposed(const ThinRows<BFloat16>& s, const ThinRows<BFloat16>& x, int64_t rank,
                             float* sums) {
  const int64_t block = kRankBlock * round_up(x.columns, kColumnBlock);
  for (int64_t first = 0; first < rank; first += kRankBlock, sums += block) {
    uint32_t pairs[kMostThinRows / 2][kRankBlock] = {};
    for (int64_t i = 0; i < s.count; ++i) {
      const BFloat16* row = s.values + i * s.stride + first;
      for (int64_t r = 0; r < std::min(kRankBlock, rank - first); ++r) {
        pairs[i / 2][r] |= static_cast<uint32_t>(row[r].bits) << (i % 2 * 16);
      }
    }
    add_transposed(pairs, x, sums);
  }
}

}  // namespace radgpt::kernels
