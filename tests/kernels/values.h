#pragma once

#include <cstdint>
#include <vector>

#include "kernels/primitives/bfloat16.h"
#include "libradgpt/base/philox.h"

namespace radgpt::kernels {

/// `count` values spread evenly over [-size, size). The same seed gives the same values.
template <typename T>
std::vector<T> random_values(int64_t count, double size, uint32_t seed) {
  std::vector<T> values;
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t word = philox({static_cast<uint32_t>(i), 0, 0, 0}, {seed, 1})[0];
    values.push_back(T(static_cast<Compute<T>>(size * (word * 0x1p-31 - 1.0))));
  }
  return values;
}

template <typename T>
std::vector<double> widened(const std::vector<T>& values) {
  return std::vector<double>(values.begin(), values.end());
}

/// Equal bit for bit, NaN too.
inline bool same_bits(const std::vector<BFloat16>& a, const std::vector<BFloat16>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].bits != b[i].bits) return false;
  }
  return true;
}

}  // namespace radgpt::kernels
