#include "libradgpt/ops/dropout_mask.h"

#include <torch/types.h>

#include <vector>

#include "tests/catch.h"
#include "tests/ops/plain_formulas.h"

namespace radgpt {
namespace {

/// The first 192 factors of a row.
std::vector<double> mask_of(const LoraPair& pair, const DropoutKey& key, uint32_t row) {
  const kernels::DropoutMask mask = dropout_mask(pair, key);
  std::vector<double> factors;
  for (uint32_t column = 0; column < 192; ++column) {
    factors.push_back(mask.keeps(row, column) ? mask.kept : 0.0);
  }
  return factors;
}

LoraPair pair_with(double dropout, uint32_t module) {
  LoraPair pair;
  pair.dropout = dropout;
  pair.module = module;
  return pair;
}

TEST_CASE("Dropout mask: every element is the half word of Philox that pair, key and place name") {
  const DropoutKey key{0x123456789ABCDEF0, 0x100000002, 9, true};
  const LoraPair pair = pair_with(0.3, 12);
  const at::Tensor expected = plain_mask(pair, key, 3, 192);
  for (uint32_t row = 0; row < 3; ++row) {
    const std::vector<double> factors = mask_of(pair, key, row);
    for (int64_t column = 0; column < 192; ++column) {
      CHECK(factors[column] == expected[row][column].item<double>());
    }
  }
}

TEST_CASE("Dropout mask: another seed, step, pack or module is another mask") {
  const auto row_of = [](const DropoutKey& key, uint32_t module) {
    return mask_of(pair_with(0.5, module), key, 0);
  };
  const std::vector<double> first = row_of({1, 2, 3, true}, 4);
  CHECK(row_of({1, 2, 3, true}, 4) == first);
  CHECK(row_of({2, 2, 3, true}, 4) != first);
  CHECK(row_of({1, 3, 3, true}, 4) != first);
  CHECK(row_of({1, 2, 4, true}, 4) != first);
  CHECK(row_of({1, 2, 3, true}, 5) != first);
}

}  // namespace
}  // namespace radgpt
