#include "kernels/primitives/thin_product.h"

#include <type_traits>

#include "kernels/primitives/row_loops.h"
#include "kernels/primitives/thin_product_bfloat16.h"
#include "kernels/primitives/tile_product.h"

namespace radgpt::kernels {

namespace {

/// Columns worked on at a time where values are widened first: they fit a core's first cache.
constexpr int64_t kChunk = 256;

template <typename T>
bool multiplies_as_such() {
  return std::is_same_v<T, BFloat16> && multiplies_bfloat16();
}

/// Columns [first, first + kChunk) of x in the type of sums, zero where not kept.
template <typename T>
struct WideChunk {
  using C = Compute<T>;

  int64_t columns;
  C values[kMostThinRows * kChunk];

  WideChunk(const ThinRows<T>& x, int64_t first) : columns(std::min(kChunk, x.columns - first)) {
    for (int64_t i = 0; i < x.count; ++i) {
      const T* row = x.values + i * x.stride + first;
      if (x.kept == nullptr) {
        widen_row(row, columns, values + i * kChunk);
      } else {
        const KeptBits kept = x.kept + i * mask_words(x.columns) + first / 64;
        widen_kept_row(row, kept, columns, values + i * kChunk);
      }
    }
  }
};

/// The rows of s one after the other in the type of sums.
template <typename T>
std::vector<Compute<T>> widened(const ThinRows<T>& s, int64_t rank) {
  std::vector<Compute<T>> wide(s.count * rank);
  for (int64_t i = 0; i < s.count; ++i) {
    widen_row(s.values + i * s.stride, rank, wide.data() + i * rank);
  }
  return wide;
}

}  // namespace

template <typename T>
ThinMatrix<T>::ThinMatrix(const T* values, int64_t rank, int64_t columns, int64_t rank_step,
                          int64_t column_step)
    : rank_(rank), columns_(columns), padded_rank_(round_up(rank, kLanes<C>)) {
  const int64_t lanes = round_up(columns, kLanes<C>), block = round_up(columns, kColumnBlock);
  if (multiplies_as_such<T>()) {
    rows_.resize(round_up(rank, kRankBlock) * block);
    pairs_.resize(round_up(rank, kRankBlock) / 2 * lanes);
  } else {
    wide_.resize(rank * lanes);
    wide_transposed_.resize(columns * padded_rank_);
  }
  for (int64_t r = 0; r < rank; ++r) {
    for (int64_t k = 0; k < columns; ++k) {
      const T value = values[r * rank_step + k * column_step];
      if constexpr (std::is_same_v<T, BFloat16>) {
        if (multiplies_bfloat16()) {
          rows_[r * block + k] = value;
          pairs_[r / 2 * lanes + k] |= static_cast<uint32_t>(value.bits) << (r % 2 * 16);
          continue;
        }
      }
      wide_[r * lanes + k] = wide_transposed_[k * padded_rank_ + r] = static_cast<C>(value);
    }
  }
}

template <typename T>
void ThinMatrix<T>::multiply_by_transpose(const ThinRows<T>& x, C* s) const {
  if constexpr (std::is_same_v<T, BFloat16>) {
    if (multiplies_bfloat16()) {
      return bfloat16_rows_by_rows(x, rows_.data(), rank_, s, padded_rank_);
    }
  }
  for (int64_t first = 0; first < columns_; first += kChunk) {
    const WideChunk<T> chunk(x, first);
    tile_product<C>({x.count, rank_, chunk.columns, chunk.values, kChunk, 1,
                     wide_transposed_.data() + first * padded_rank_, padded_rank_, s, padded_rank_},
                    first == 0 ? TileResult::kOverwrite : TileResult::kAdd);
  }
}

template <typename T>
void ThinMatrix<T>::add_product(const ThinRows<T>& s, KeptBits kept, C factor, C* y,
                                int64_t y_stride) const {
  if constexpr (std::is_same_v<T, BFloat16>) {
    if (multiplies_bfloat16()) {
      return bfloat16_add_product(s, {pairs_.data(), rank_, columns_}, kept, factor, y, y_stride);
    }
  }
  const std::vector<C> wide = widened(s, rank_);
  C product[kMostThinRows * kChunk];
  for (int64_t first = 0; first < columns_; first += kChunk) {
    const int64_t columns = std::min(kChunk, columns_ - first);
    tile_product<C>({s.count, columns, rank_, wide.data(), rank_, 1, wide_.data() + first,
                     round_up(columns_, kLanes<C>), product, kChunk},
                    TileResult::kOverwrite);
    for (int64_t i = 0; i < s.count; ++i) {
      const C* from = product + i * kChunk;
      C* to = y + i * y_stride + first;
      if (kept == nullptr) {
        add_row(from, columns, to, factor);
      } else {
        add_kept_row(from, kept + i * mask_words(columns_) + first / 64, columns, to, factor);
      }
    }
  }
}

template <typename C>
ThinSums<C>::ThinSums(int64_t rank, int64_t columns)
    : rank_(rank),
      stride_(round_up(columns, kColumnBlock)),
      sums_(round_up(rank, kRankBlock) * stride_) {}

template <typename C>
template <typename T>
void ThinSums<C>::add(const ThinRows<T>& s, const ThinRows<T>& x) {
  if constexpr (std::is_same_v<T, BFloat16>) {
    if (multiplies_bfloat16()) return bfloat16_add_transposed(s, x, rank_, sums_.data());
  }
  const std::vector<C> wide = widened(s, rank_);
  for (int64_t first = 0; first < x.columns; first += kChunk) {
    const WideChunk<T> chunk(x, first);
    tile_product<C>({rank_, chunk.columns, x.count, wide.data(), 1, rank_, chunk.values, kChunk,
                     sums_.data() + first, stride_},
                    TileResult::kAdd);
  }
}

template class ThinMatrix<float>;
template class ThinMatrix<double>;
template class ThinMatrix<BFloat16>;
template class ThinSums<float>;
template class ThinSums<double>;
template void ThinSums<float>::add(const ThinRows<float>&, const ThinRows<float>&);
template void ThinSums<double>::add(const ThinRows<double>&, const ThinRows<double>&);
template void ThinSums<float>::add(const ThinRows<BFloat16>&, const ThinRows<BFloat16>&);

}  // namespace radgpt::kernels
