#pragma once

#include <cstdint>

namespace radgpt::kernels {

/// A small matrix product on one thread:
///
///   c[i, j] = sum_k a[i, k] b[k, j]          (or added to c)
///
///   a  element (i, k) at a[i * a_row + k * a_column]: swap the two to multiply by a transpose
///   b  [depth, columns] with row stride b_row
///   c  [rows, columns] with row stride c_row
///
/// Columns are worked on in whole Lanes: b and c must have room for `columns` rounded up to
/// kLanes<C>, and what stands there in c is overwritten. Every c[i, j] is summed in the order of k.
/// For products too small or too thin for a call into a matrix library to pay.
template <typename C>
struct TileProduct {
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t depth = 0;
  const C* a = nullptr;
  int64_t a_row = 0;
  int64_t a_column = 0;
  const C* b = nullptr;
  int64_t b_row = 0;
  C* c = nullptr;
  int64_t c_row = 0;
};

enum class TileResult { kOverwrite, kAdd };

/// For C float and double.
template <typename C>
void tile_product(const TileProduct<C>& product, TileResult result);

}  // namespace radgpt::kernels
