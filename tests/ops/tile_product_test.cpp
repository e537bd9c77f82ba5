#include "libradgpt/ops/tile_product.h"

#include <torch/types.h>

#include "libradgpt/ops/lanes.h"
#include "tests/catch.h"
#include "tests/ops/gradient_checks.h"
#include "tests/ops/linear_case.h"

namespace radgpt {
namespace {

template <typename C>
void expect_product(int64_t rows, int64_t columns, int64_t depth, double relative) {
  const auto type = c10::CppTypeToScalarType<C>::value;
  const int64_t padded = round_up(columns, kLanes<C>);
  const at::Tensor a = short_values({rows, depth}, 1, type);
  const at::Tensor b = short_values({depth, padded}, 2, type);
  const at::Tensor before = short_values({rows, padded}, 3, type);
  const at::Tensor expected = torch::matmul(a, b);
  const at::Tensor a_transposed = a.t().contiguous();
  for (const TileResult result : {TileResult::kOverwrite, TileResult::kAdd}) {
    for (const bool transposed : {false, true}) {
      const at::Tensor c = before.clone();
      TileProduct<C> product{rows,
                             columns,
                             depth,
                             a.const_data_ptr<C>(),
                             depth,
                             1,
                             b.const_data_ptr<C>(),
                             padded,
                             c.mutable_data_ptr<C>(),
                             padded};
      if (transposed) {
        product.a = a_transposed.const_data_ptr<C>();
        product.a_row = 1;
        product.a_column = rows;
      }
      tile_product(product, result);
      expect_close(c, result == TileResult::kAdd ? expected + before : expected, relative);
    }
  }
}

TEST_CASE("Tile product: equals a matrix product for shapes that fill no tile") {
  // Values are multiples of 1/64 and sums below 2^10: exact in both types.
  for (const int64_t rows : {1, 7, 8, 19}) {
    for (const int64_t columns : {1, 16, 33, 80}) {
      for (const int64_t depth : {1, 5, 64}) {
        expect_product<float>(rows, columns, depth, 0.0);
        expect_product<double>(rows, columns, depth, 0.0);
      }
    }
  }
}

}  // namespace
}  // namespace radgpt
