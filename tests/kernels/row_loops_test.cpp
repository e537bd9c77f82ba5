#include "kernels/primitives/row_loops.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "tests/catch.h"

namespace radgpt::kernels {
namespace {

TEST_CASE("Rows: rounding to bfloat16 is that of the type, bit for bit") {
  std::vector<float> values = {0.0f,
                               -0.0f,
                               1.0f,
                               1.00390625f,
                               1.01171875f,
                               3.4e38f,
                               std::numeric_limits<float>::infinity(),
                               1e-40f,
                               -2.5e-3f};
  for (int i = 0; i < 1000; ++i) values.push_back(std::ldexp(std::sin(i * 1.1f), i % 40 - 20));
  std::vector<BFloat16> rounded(values.size());
  round_row(values.data(), static_cast<int64_t>(values.size()), rounded.data());
  for (size_t i = 0; i < values.size(); ++i) CHECK(rounded[i].bits == BFloat16(values[i]).bits);
  const float nan = std::nanf("");
  BFloat16 kept;
  round_row(&nan, 1, &kept);
  CHECK(std::isnan(static_cast<float>(kept)));
}

TEST_CASE("Bfloat16: rounds to nearest, ties to even") {
  const std::vector<std::pair<uint32_t, uint16_t>> cases = {
      {0x3F800000, 0x3F80}, {0x3F807FFF, 0x3F80}, {0x3F808000, 0x3F80}, {0x3F808001, 0x3F81},
      {0x3F818000, 0x3F82}, {0x7F7FFFFF, 0x7F80}, {0x80000000, 0x8000}, {0x00008001, 0x0001},
      {0x7F800001, 0x7FC0}, {0xFF800000, 0xFF80}};
  for (const auto& [bits, expected] : cases) {
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    CHECK(BFloat16(value).bits == expected);
  }
}

TEST_CASE("Rows: the exponential is good to two units in the last place") {
  double worst = 0;
  for (float x = -87.0f; x < 88.0f; x += 0.01f) {
    Lanes<float> lanes = Lanes<float>{} + x;
    exponentiate(lanes);
    worst = std::max(worst, std::abs(lanes[3] / std::exp(static_cast<double>(x)) - 1.0));
  }
  CHECK(worst < 2 * 0x1p-23);
  Lanes<float> special = {-1000.0f, -std::numeric_limits<float>::infinity(), std::nanf(""), 0.0f};
  exponentiate(special);
  CHECK(special[0] == 0.0f);
  CHECK(special[1] == 0.0f);
  CHECK(std::isnan(special[2]));
  CHECK(special[3] == 1.0f);
}

}  // namespace
}  // namespace radgpt::kernels
