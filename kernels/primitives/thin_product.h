#pragma once

#include <cstdint>
#include <vector>

#include "kernels/primitives/bfloat16.h"
#include "kernels/primitives/dropout_mask.h"
#include "kernels/primitives/lanes.h"

namespace radgpt::kernels {

// The products of an adapter on one thread, of a few rows at a time: one factor has as few rows as
// the adapter has ranks. bfloat16 is multiplied as such where the processor can (AVX512-BF16), else
// as float. Every element is summed in an order that depends on shapes alone.

/// Rows that a call may take.
inline constexpr int64_t kMostThinRows = 32;

/// Elements of some rows that count, the others being zero: mask_bits of the rows. Null: all count.
using KeptBits = const uint64_t*;

/// Rows [count, columns] of T.
template <typename T>
struct ThinRows {
  const T* values = nullptr;
  int64_t count = 0;
  int64_t columns = 0;
  int64_t stride = 0;
  KeptBits kept = nullptr;
};

/// A matrix [rank, columns] in the layouts of the products. For T float, double, BFloat16.
template <typename T>
class ThinMatrix {
  using C = Compute<T>;

 public:
  /// Element (r, k) is values[r * rank_step + k * column_step].
  ThinMatrix(const T* values, int64_t rank, int64_t columns, int64_t rank_step,
             int64_t column_step);

  int64_t rank() const { return rank_; }
  int64_t columns() const { return columns_; }
  /// rank() in whole lanes.
  int64_t padded_rank() const { return padded_rank_; }

  /// s[i, r] = sum_k x[i, k] a[r, k], row stride padded_rank() of s; elements behind a row are
  /// overwritten.
  void multiply_by_transpose(const ThinRows<T>& x, C* s) const;

  /// y[i, k] += factor * sum_r s[i, r] a[r, k] where kept.
  ///
  ///   s  rows of at least rank() elements: their columns are not looked at
  ///   y  [s.count, columns()]
  void add_product(const ThinRows<T>& s, KeptBits kept, C factor, C* y, int64_t y_stride) const;

 private:
  int64_t rank_;
  int64_t columns_;
  int64_t padded_rank_;
  std::vector<C> wide_;             ///< [rank, columns], rows in whole lanes
  std::vector<C> wide_transposed_;  ///< [columns, padded rank]
  std::vector<BFloat16> rows_;      ///< [rank, columns] in whole blocks of 8 and 32
  std::vector<uint32_t> pairs_;     ///< [rank / 2, columns]: two ranks of a column side by side
};

/// sums[r, k] += sum_i s[i, r] x[i, k]: sums over many rows, kept from call to call.
template <typename C>
class ThinSums {
 public:
  ThinSums(int64_t rank, int64_t columns);

  /// s: rows of at least rank elements, as many as x has.
  template <typename T>
  void add(const ThinRows<T>& s, const ThinRows<T>& x);

  /// Row r of the sums.
  const C* row(int64_t r) const { return sums_.data() + r * stride_; }

 private:
  int64_t rank_;
  int64_t columns_;
  int64_t stride_;
  std::vector<C> sums_;  ///< [rank, columns] in whole blocks of 8 and 32
};

}  // namespace radgpt::kernels
