#include "kernels/primitives/dropout_mask.h"

#include <bit>
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
  mask.drop(dropout);
  return mask;
}

bool bit(const std::vector<uint64_t>& bits, int64_t at) { return bits[at / 64] >> (at % 64) & 1; }

TEST_CASE("Dropout mask: the bits of a row are Philox, word by word") {
  const DropoutMask mask = mask_with(0.3);
  for (const uint32_t columns : {1, 4, 63, 64, 65, 150, 1024}) {
    std::vector<uint64_t> bits(3 * mask_words(columns) + 1, 77);
    mask_bits(mask, 5, 8, columns, bits.data());
    int64_t wrong = 0;
    for (uint32_t row = 0; row < 3; ++row) {
      for (uint32_t column = 0; column < columns; ++column) {
        const auto words = philox<7>({column / 8, row + 5, 12, 9}, {0x9ABCDEF0, 0x12345678});
        const uint32_t word = words[column % 8 / 2];
        const bool kept = (column % 2 == 0 ? word % 65536 : word / 65536) >= 19661;  // 0.3 * 2^16
        wrong += mask.keeps(row + 5, column) != kept;
        wrong += bit(bits, row * mask_words(columns) * 64 + column) != kept;
      }
    }
    CHECK(wrong == 0);
    CHECK(mask.kept == 65536.0 / (65536.0 - 19661.0));
    CHECK(bits.back() == 77);
  }
}

TEST_CASE("Dropout mask: drops the share that is asked for") {
  const DropoutMask mask = mask_with(0.1);
  constexpr int64_t kRows = 1000, kColumns = 1024;
  std::vector<uint64_t> bits(kRows * mask_words(kColumns));
  mask_bits(mask, 0, kRows, kColumns, bits.data());
  int64_t dropped = 0;
  for (const uint64_t word : bits) dropped += 64 - std::popcount(word);
  // Five deviations of a binomial with p = 0.1 around its mean.
  const double count = kRows * kColumns;
  CHECK(std::abs(static_cast<double>(dropped) - 0.1 * count) < 5 * std::sqrt(count * 0.1 * 0.9));
}

}  // namespace
}  // namespace radgpt::kernels
