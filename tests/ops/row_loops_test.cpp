#include "libradgpt/ops/row_loops.h"

#include <torch/types.h>

#include <cmath>
#include <limits>
#include <vector>

#include "libradgpt/ops/attention_rows.h"
#include "tests/catch.h"

namespace radgpt {
namespace {

TEST_CASE("Rows: rounding to bfloat16 is LibTorch's, bit for bit") {
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
  std::vector<c10::BFloat16> rounded(values.size());
  round_row(values.data(), static_cast<int64_t>(values.size()), rounded.data());
  for (size_t i = 0; i < values.size(); ++i) {
    CHECK(rounded[i].x == c10::BFloat16(values[i]).x);
  }
  const float nan = std::nanf("");
  c10::BFloat16 kept;
  round_row(&nan, 1, &kept);
  CHECK(std::isnan(static_cast<float>(kept)));
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

TEST_CASE("Rows: rotation is multiplication by e^(i angle) of pairs half a head apart") {
  constexpr int64_t kDim = 10;
  std::vector<double> x(kDim), y(kDim), back(kDim);
  std::vector<float> cosines, sines;
  for (int i = 0; i < kDim; ++i) x[i] = std::sin(i + 1.0);
  for (int k = 0; k < kDim / 2; ++k) {
    cosines.push_back(std::cos(0.7f * k));
    sines.push_back(std::sin(0.7f * k));
  }
  const Rotation rotation{cosines.data(), sines.data()};
  rotate_head(x.data(), kDim, rotation, y.data());
  rotate_head_back(y.data(), kDim, rotation, back.data());
  for (int k = 0; k < kDim / 2; ++k) {
    const c10::complex<double> turn(cosines[k], sines[k]);
    const auto turned = c10::complex<double>(x[k], x[k + kDim / 2]) * turn;
    CHECK(std::abs(y[k] - turned.real()) < 1e-15);
    CHECK(std::abs(y[k + kDim / 2] - turned.imag()) < 1e-15);
    CHECK(std::abs(back[k] - x[k]) < 1e-7);  // cos^2 + sin^2 of floats is 1 to 2^-23
  }
}

TEST_CASE("Rows: rotated keys have the values that a cache of their type holds") {
  const std::vector<c10::BFloat16> x = {1.0f, 0.7f, -0.3f, 1.9f};
  const std::vector<float> cosines = {std::cos(0.4f), std::cos(1.1f)};
  const std::vector<float> sines = {std::sin(0.4f), std::sin(1.1f)};
  std::vector<float> y(4);
  rotate_head(x.data(), 4, {cosines.data(), sines.data()}, y.data());
  for (const float value : y) CHECK(static_cast<float>(c10::BFloat16(value)) == value);
}

}  // namespace
}  // namespace radgpt
