#include "kernels/segment_attention/attention_rows_cpu.h"

#include <cmath>
#include <complex>
#include <vector>

#include "tests/catch.h"

namespace radgpt::kernels {
namespace {

TEST_CASE("Attention rows: rotation is multiplication by e^(i angle) of pairs half a head apart") {
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
    const std::complex<double> turn(cosines[k], sines[k]);
    const auto turned = std::complex<double>(x[k], x[k + kDim / 2]) * turn;
    CHECK(std::abs(y[k] - turned.real()) < 1e-15);
    CHECK(std::abs(y[k + kDim / 2] - turned.imag()) < 1e-15);
    CHECK(std::abs(back[k] - x[k]) < 1e-7);  // cos^2 + sin^2 of floats is 1 to 2^-23
  }
}

TEST_CASE("Attention rows: rotated keys have the values that a cache of their type holds") {
  const std::vector<BFloat16> x = {BFloat16(1.0f), BFloat16(0.7f), BFloat16(-0.3f), BFloat16(1.9f)};
  const std::vector<float> cosines = {std::cos(0.4f), std::cos(1.1f)};
  const std::vector<float> sines = {std::sin(0.4f), std::sin(1.1f)};
  std::vector<float> y(4);
  rotate_head(x.data(), 4, {cosines.data(), sines.data()}, y.data());
  for (const float value : y) CHECK(static_cast<float>(BFloat16(value)) == value);
}

}  // namespace
}  // namespace radgpt::kernels
