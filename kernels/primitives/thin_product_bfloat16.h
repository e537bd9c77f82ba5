#pragma once

#include "kernels/primitives/thin_product.h"

namespace radgpt::kernels {

// The products of thin_product.h by the processor's bfloat16 instructions: two products of bfloat16
// added to a float at a time. To be called only where there are such instructions.

/// Whether the processor has AVX512-BF16.
bool multiplies_bfloat16();

/// Ranks and columns that a block of these products takes.
inline constexpr int64_t kRankBlock = 8;
inline constexpr int64_t kColumnBlock = 32;

/// s = x a^T for a [rank, columns] in whole blocks, zero behind each row.
void bfloat16_rows_by_rows(const ThinRows<BFloat16>& x, const BFloat16* a, int64_t rank, float* s,
                           int64_t s_stride);

/// A matrix [rank, columns] in pairs of ranks: two ranks of a column side by side, [rank / 2 in
/// whole blocks, columns in whole lanes], zero where no rank is.
struct RankPairs {
  const uint32_t* values = nullptr;
  int64_t rank = 0;
  int64_t columns = 0;
};

/// y += factor * s a where kept.
void bfloat16_add_product(const ThinRows<BFloat16>& s, const RankPairs& a, KeptBits kept,
                          float factor, float* y, int64_t y_stride);

/// sums += s^T x for sums [rank, columns] in whole blocks.
void bfloat16_add_transposed(const ThinRows<BFloat16>& s, const ThinRows<BFloat16>& x, int64_t rank,
                             float* sums);

}  // namespace radgpt::kernels
