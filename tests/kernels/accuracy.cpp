#include "tests/kernels/accuracy.h"

#include <algorithm>
#include <cmath>

#include "kernels/primitives/bfloat16.h"
#include "tests/catch.h"

namespace radgpt::kernels {

namespace {

struct Size {
  double norm = 0;
  double largest = 0;
};

Size size_of(std::span<const double> values) {
  double squares = 0, largest = 0;
  for (const double value : values) {
    squares += value * value;
    largest = std::isnan(value) ? value : std::max(largest, std::abs(value));
  }
  return {std::sqrt(squares), largest};
}

Size distance(std::span<const double> values, std::span<const double> exact) {
  std::vector<double> differences(exact.size());
  for (size_t i = 0; i < exact.size(); ++i) differences[i] = values[i] - exact[i];
  return size_of(differences);
}

}  // namespace

template <>
double rounding_of<float>() {
  return 0x1p-24;
}
template <>
double rounding_of<double>() {
  return 0x1p-43;
}
template <>
double rounding_of<BFloat16>() {
  return 0x1p-8;
}

void expect_as_accurate_as(std::span<const double> naive, const WrittenArray& fused,
                           std::span<const double> exact) {
  REQUIRE(naive.size() == exact.size());
  REQUIRE(fused.values.size() == exact.size());
  const Size plain = distance(naive, exact), ours = distance(fused.values, exact);
  const Size all = size_of(exact);
  CHECK(ours.norm <= 2 * plain.norm + fused.rounding / 2 * all.norm);
  CHECK(ours.largest <= 4 * plain.largest + fused.rounding * all.largest);
}

void expect_as_accurate_as(const Arrays& naive, const WrittenArrays& fused, const Arrays& exact) {
  REQUIRE(naive.size() == exact.size());
  REQUIRE(fused.size() == exact.size());
  for (const auto& [name, values] : exact) {
    INFO(name);
    REQUIRE(naive.contains(name));
    REQUIRE(fused.contains(name));
    expect_as_accurate_as(naive.at(name), fused.at(name), values);
  }
}

}  // namespace radgpt::kernels
