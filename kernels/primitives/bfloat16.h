#pragma once

#include <cstdint>

namespace radgpt::kernels {

/// bfloat16 by its bits: sign, 8 bits of exponent, 7 of fraction. Made from float by rounding to
/// nearest, ties to even, as LibTorch and the GPU do; NaN stays NaN. Same size and layout as
/// c10::BFloat16 and __nv_bfloat16.
struct BFloat16 {
  uint16_t bits = 0;

  constexpr BFloat16() = default;
  explicit constexpr BFloat16(float value) : bits(rounded(value)) {}
  constexpr operator float() const {
    return __builtin_bit_cast(float, static_cast<uint32_t>(bits) << 16);
  }

 private:
  static constexpr uint16_t rounded(float value) {
    const uint32_t word = __builtin_bit_cast(uint32_t, value);
    if ((word & 0x7FFFFFFF) > 0x7F800000) return 0x7FC0;
    return static_cast<uint16_t>((word + 0x7FFF + ((word >> 16) & 1)) >> 16);
  }
};

/// What Compute is defined by.
template <typename T>
struct ComputeType {
  using type = T;
};
/// Sums of bfloat16 are taken in float.
template <>
struct ComputeType<BFloat16> {
  using type = float;
};

/// The type in which values stored as T are added and multiplied: float for BFloat16 and float.
template <typename T>
using Compute = typename ComputeType<T>::type;

}  // namespace radgpt::kernels
