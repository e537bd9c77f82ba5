#include "tests/kernels/accuracy.h"

#include <algorithm>
#include <cmath>

#include "kernels/primitives/bfloat16.h"
#include "tests/catch.h"

namespace radgpt::kernels {

namespace {

/// Half of the distance from 1 to the next number; in double, where there is nothing more precise
/// to compare with, what a thousand of them may add up to.
template <typename T>
constexpr double kRounding = 0x1p-24;
template <>
constexpr double kRounding<double> = 0x1p-43;
template <>
constexpr double kRounding<BFloat16> = 0x1p-8;

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

template <typename T>
void expect_as_accurate_as(std::span<const double> naive, std::span<const double> fused,
                           std::span<const double> exact) {
  REQUIRE(naive.size() == exact.size());
  REQUIRE(fused.size() == exact.size());
  const Size plain = distance(naive, exact), ours = distance(fused, exact), all = size_of(exact);
  CHECK(ours.norm <= 2 * plain.norm + kRounding<T> / 2 * all.norm);
  CHECK(ours.largest <= 2 * plain.largest + kRounding<T> * all.largest);
}

template <typename T>
void expect_as_accurate_as(const Arrays& naive, const Arrays& fused, const Arrays& exact) {
  REQUIRE(naive.size() == exact.size());
  REQUIRE(fused.size() == exact.size());
  for (const auto& [name, values] : exact) {
    INFO(name);
    REQUIRE(naive.contains(name));
    REQUIRE(fused.contains(name));
    expect_as_accurate_as<T>(naive.at(name), fused.at(name), values);
  }
}

template void expect_as_accurate_as<float>(std::span<const double>, std::span<const double>,
                                           std::span<const double>);
template void expect_as_accurate_as<double>(std::span<const double>, std::span<const double>,
                                            std::span<const double>);
template void expect_as_accurate_as<BFloat16>(std::span<const double>, std::span<const double>,
                                              std::span<const double>);
template void expect_as_accurate_as<float>(const Arrays&, const Arrays&, const Arrays&);
template void expect_as_accurate_as<double>(const Arrays&, const Arrays&, const Arrays&);
template void expect_as_accurate_as<BFloat16>(const Arrays&, const Arrays&, const Arrays&);

}  // namespace radgpt::kernels
