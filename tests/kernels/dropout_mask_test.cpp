#include "kernels/primitives/dropout_mask.h"

#include <cmath>
#include <vector>

#include "tests/catch.h"

namespace radgpt::kernels {
namespace {

DropoutMask mask_with(double dropout) {
  DropoutMask mask;
  mask.key = {0x9ABCDEF0, 0x12345678};
  mask.pack = 9;
  mask.module = 12;
  mask.threshold = static_cast<uint32_t>(dropout * 0x1p32);
  mask.kept = 1.0 / (1.0 - dropout);
  return mask;
}

TEST_CASE("Dropout mask: a row of factors is Philox, word by word") {
  const DropoutMask mask = mask_with(0.3);
  constexpr int64_t kColumns = 150;
  for (uint32_t row = 0; row < 3; ++row) {
    std::vector<float> factors(192);
    std::vector<double> wide(192);
    mask_row(mask, row, kColumns, factors.data());
    mask_row(mask, row, kColumns, wide.data());
    for (uint32_t column = 0; column < kColumns; ++column) {
      const auto words = philox({column / 4, row, 12, 9}, {0x9ABCDEF0, 0x12345678});
      const bool kept = words[column % 4] >= mask.threshold;
      CHECK(factors[column] == (kept ? static_cast<float>(mask.kept) : 0.0f));
      CHECK(wide[column] == (kept ? mask.kept : 0.0));
      CHECK(mask.words(column / 4, row) == words);
    }
  }
}

TEST_CASE("Dropout mask: drops the share that is asked for") {
  const DropoutMask mask = mask_with(0.1);
  constexpr int64_t kRows = 1000, kColumns = 1024;
  std::vector<float> factors(kColumns);
  int64_t dropped = 0;
  for (int64_t row = 0; row < kRows; ++row) {
    mask_row(mask, row, kColumns, factors.data());
    for (const float factor : factors) dropped += factor == 0.0f;
  }
  // Five deviations of a binomial with p = 0.1 around its mean.
  const double count = kRows * kColumns;
  CHECK(std::abs(static_cast<double>(dropped) - 0.1 * count) < 5 * std::sqrt(count * 0.1 * 0.9));
}

}  // namespace
}  // namespace radgpt::kernels
