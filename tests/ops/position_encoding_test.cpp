#include <torch/types.h>

#include <cmath>
#include <fstream>
#include <iostream>

#include "libradgpt/ops/segment_attention.h"
#include "tests/catch.h"

namespace radgpt {
namespace {

TEST_CASE("ALiBi: the slopes of 40 heads are those of Baichuan2-13B") {
  std::ifstream file(RADGPT_SOURCE_DIR "/../shared/golden/alibi_slopes_40.json");
  if (!file) {
    std::cout << "skipped: no ../shared\n";
    return;
  }
  const at::Tensor slopes = PositionEncoding::alibi(40).slopes;
  char separator = 0;
  for (int64_t head = 0; head < 40; ++head) {
    double expected = 0;
    file >> separator >> expected;
    // One rounding to float, and a golden value that carries an error of its own of 1e-16.
    CHECK(std::abs(slopes[head].item<double>() / expected - 1.0) < 0x1p-24 + 1e-15);
  }
}

TEST_CASE("ALiBi: a power of two of heads is one geometric sequence") {
  const at::Tensor slopes = PositionEncoding::alibi(8).slopes;
  for (int head = 0; head < 8; ++head) CHECK(slopes[head].item<float>() == std::exp2f(-(head + 1)));
}

TEST_CASE("RoPE: angles are position times 10000^(-2k / head_dim), in fp32") {
  const PositionEncoding encoding = PositionEncoding::rope(8, 50);
  REQUIRE(encoding.cosines.sizes() == at::IntArrayRef({50, 4}));
  for (int position : {0, 1, 49}) {
    for (int k = 0; k < 4; ++k) {
      const double angle = position * std::pow(10000.0, -2.0 * k / 8);
      // The angle is rounded to float, twice, before its cosine is taken.
      const double tolerance = 0x1p-22 * (1 + angle);
      CHECK(std::abs(encoding.cosines[position][k].item<double>() - std::cos(angle)) < tolerance);
      CHECK(std::abs(encoding.sines[position][k].item<double>() - std::sin(angle)) < tolerance);
    }
  }
}

}  // namespace
}  // namespace radgpt
