#include "libradgpt/ops/dropout_mask.h"

#include <torch/types.h>

#include <vector>

#include "tests/catch.h"
#include "tests/ops/plain_formulas.h"

namespace radgpt {
namespace {

LoraPair pair_with_dropout(double dropout) {
  LoraPair pair;
  pair.dropout = dropout;
  pair.module = 12;
  return pair;
}

TEST_CASE("Dropout mask: every element is the word of Philox that its place names") {
  const DropoutKey key{0x123456789ABCDEF0, 0x100000002, 9, true};
  const LoraPair pair = pair_with_dropout(0.3);
  constexpr int64_t kRows = 3, kColumns = 150;
  const at::Tensor expected = plain_mask(pair, key, kRows, kColumns);
  const DropoutMask mask = DropoutMask::of(pair, key);
  for (int64_t row = 0; row < kRows; ++row) {
    std::vector<float> factors(192);
    std::vector<double> wide(192);
    mask_row(mask, row, kColumns, factors.data());
    mask_row(mask, row, kColumns, wide.data());
    for (int64_t column = 0; column < kColumns; ++column) {
      const double value = expected[row][column].item<double>();
      CHECK(factors[column] == static_cast<float>(value));
      CHECK(wide[column] == value);
    }
  }
}

TEST_CASE("Dropout mask: drops the share that is asked for") {
  const DropoutMask mask = DropoutMask::of(pair_with_dropout(0.1), {1, 2, 3, true});
  constexpr int64_t kRows = 1000, kColumns = 1024;
  std::vector<float> factors(kColumns);
  int64_t dropped = 0;
  for (int64_t row = 0; row < kRows; ++row) {
    mask_row(mask, row, kColumns, factors.data());
    for (const float factor : factors) dropped += factor == 0.0f;
  }
  // Five deviations of a binomial with p = 0.1 around its mean.
  const double count = kRows * kColumns;
  CHECK(std::abs(dropped - 0.1 * count) < 5 * std::sqrt(count * 0.1 * 0.9));
}

TEST_CASE("Dropout mask: another seed, step, pack or module is another mask") {
  const auto row_of = [](const DropoutKey& key, uint32_t module) {
    LoraPair pair = pair_with_dropout(0.5);
    pair.module = module;
    std::vector<float> factors(64);
    mask_row(DropoutMask::of(pair, key), 0, 64, factors.data());
    return factors;
  };
  const std::vector<float> first = row_of({1, 2, 3, true}, 4);
  CHECK(row_of({1, 2, 3, true}, 4) == first);
  CHECK(row_of({2, 2, 3, true}, 4) != first);
  CHECK(row_of({1, 3, 3, true}, 4) != first);
  CHECK(row_of({1, 2, 4, true}, 4) != first);
  CHECK(row_of({1, 2, 3, true}, 5) != first);
}

}  // namespace
}  // namespace radgpt
