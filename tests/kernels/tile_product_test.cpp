#include "kernels/primitives/tile_product.h"

#include <vector>

#include "kernels/primitives/lanes.h"
#include "tests/catch.h"
#include "tests/kernels/call_memory.h"

namespace radgpt::kernels {
namespace {

/// Multiples of 1/64 below 2: sums of 64 products of them are exact in both types.
template <typename C>
std::vector<C> short_values(int64_t count, int64_t step) {
  std::vector<C> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(static_cast<C>(i * step % 127 - 63) / 64);
  return values;
}

template <typename C>
void expect_product(int64_t rows, int64_t columns, int64_t depth) {
  const int64_t padded = round_up(columns, kLanes<C>);
  const std::vector<C> a = short_values<C>(rows * depth, 37);
  const std::vector<C> b = short_values<C>(depth * padded, 53);
  const std::vector<C> before = short_values<C>(rows * padded, 29);
  for (const TileResult result : {TileResult::kOverwrite, TileResult::kAdd}) {
    for (const bool transposed : {false, true}) {
      std::vector<C> c = before;
      TileProduct<C> product{rows, columns,  depth,  a.data(), depth,
                             1,    b.data(), padded, c.data(), padded};
      if (transposed) {
        product.a_row = 1;
        product.a_column = rows;
      }
      tile_product(product, result);
      int64_t wrong = 0;
      for (int64_t i = 0; i < rows; ++i) {
        for (int64_t j = 0; j < padded; ++j) {
          C sum = result == TileResult::kAdd ? before[i * padded + j] : 0;
          for (int64_t k = 0; k < depth; ++k) {
            sum += a[transposed ? k * rows + i : i * depth + k] * b[k * padded + j];
          }
          wrong += c[i * padded + j] != sum;
        }
      }
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("Tile product: equals a matrix product for shapes that fill no tile") {
  for (const int64_t rows : {1, 7, 8, 19}) {
    for (const int64_t columns : {1, 16, 33, 80}) {
      for (const int64_t depth : {1, 5, 64}) {
        expect_product<float>(rows, columns, depth);
        expect_product<double>(rows, columns, depth);
      }
    }
  }
}

}  // namespace
}  // namespace radgpt::kernels
