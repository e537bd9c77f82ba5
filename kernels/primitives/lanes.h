#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/primitives/bfloat16.h"
#include "kernels/primitives/rounding.h"

// Compiles a function for several instruction sets, of which the loader picks the machine's widest.
// It asks before ThreadSanitizer can be called, so that such a program would not even start.
#ifdef __SANITIZE_THREAD__
#define RADGPT_VECTOR_CLONES
#else
#define RADGPT_VECTOR_CLONES gnu::target_clones("avx512f", "avx2", "default")
#endif

namespace radgpt::kernels {

template <typename C>
struct LaneTypes;
template <>
struct LaneTypes<float> {
  typedef float Values __attribute__((vector_size(64)));
};
template <>
struct LaneTypes<double> {
  typedef double Values __attribute__((vector_size(64)));
};

/// 64 bytes of float or double, added and multiplied element by element. The compiler's vector
/// extension, because plain loops with sums are not vectorised without giving up the order of
/// additions, and that order is what makes results independent of the number of threads. Functions
/// that loop over lanes carry RADGPT_VECTOR_CLONES.
template <typename C>
using Lanes = typename LaneTypes<C>::Values;

template <typename C>
inline constexpr int64_t kLanes = 64 / sizeof(C);

/// n rounded up to a multiple of `step`.

// A copy of a size that the compiler knows is one instruction, of another size a call: take and put
// tell whole lanes from the rest of a row.

/// to = the next min(count, lanes) elements, the rest zero.
template <typename C>
[[gnu::always_inline]] inline void take(const C* from, int64_t count, Lanes<C>& to) {
  if (count >= kLanes<C>) {
    std::memcpy(&to, from, sizeof(to));
  } else {
    to = Lanes<C>{};
    std::memcpy(&to, from, count * sizeof(C));
  }
}

template <typename C>
[[gnu::always_inline]] inline void put(const Lanes<C>& from, int64_t count, C* to) {
  if (count >= kLanes<C>) {
    std::memcpy(to, &from, sizeof(from));
  } else {
    std::memcpy(to, &from, count * sizeof(C));
  }
}

using Words = uint32_t __attribute__((vector_size(64)));
using HalfWords = uint16_t __attribute__((vector_size(32)));

[[gnu::always_inline]] inline void take(const BFloat16* from, int64_t count, Lanes<float>& to) {
  HalfWords bits{};
  if (count >= kLanes<float>) {
    std::memcpy(&bits, from, sizeof(bits));
  } else {
    std::memcpy(&bits, from, count * sizeof(uint16_t));
  }
  to = reinterpret_cast<Lanes<float>>(__builtin_convertvector(bits, Words) << 16);
}

/// Rounds as BFloat16(float) does.
[[gnu::always_inline]] inline void put(const Lanes<float>& from, int64_t count, BFloat16* to) {
  const Words bits = reinterpret_cast<Words>(from);
  const Words rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
  const Words kept = (bits & 0x7FFFFFFF) > 0x7F800000 ? Words{} + 0x7FC0 : rounded;  // NaN stays
  const HalfWords halves = __builtin_convertvector(kept, HalfWords);
  if (count >= kLanes<float>) {
    std::memcpy(static_cast<void*>(to), &halves, sizeof(halves));
  } else {
    std::memcpy(static_cast<void*>(to), &halves, count * sizeof(uint16_t));
  }
}

/// Rounds to the values that T can hold.
template <typename T>
[[gnu::always_inline]] inline void round_to(Lanes<Compute<T>>& values) {
  T rounded[kLanes<Compute<T>>];
  put(values, kLanes<Compute<T>>, rounded);
  take(rounded, kLanes<Compute<T>>, values);
}

/// Lane i becomes zero unless bit i of `bits` is set.
[[gnu::always_inline]] inline void keep(uint64_t bits, Lanes<float>& values) {
  const Words lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const Words set = ((Words{} + static_cast<uint32_t>(bits)) >> lanes) & 1;
  values = set != 0 ? values : Lanes<float>{};
}

[[gnu::always_inline]] inline void keep(uint64_t bits, Lanes<double>& values) {
  for (int64_t i = 0; i < kLanes<double>; ++i) values[i] = bits >> i & 1 ? values[i] : 0.0;
}

/// The sum of the lanes, in a tree.
template <typename C>
[[gnu::always_inline]] inline C sum_of(const Lanes<C>& values) {
  Lanes<C> lanes = values;
  for (int64_t width = kLanes<C> / 2; width > 0; width /= 2) {
    for (int64_t i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}

template <typename C>
[[gnu::always_inline]] inline C max_of(const Lanes<C>& lanes) {
  C largest = lanes[0];
  for (int64_t i = 1; i < kLanes<C>; ++i) largest = lanes[i] > largest ? lanes[i] : largest;
  return largest;
}

/// x = e^x to about one unit in the last place: 2^n times Cephes' polynomial (Moshier, expf.c) on
/// [-ln 2 / 2, ln 2 / 2]. Below -87.3 zero, above 88.3 about 2e38, NaN stays NaN.
[[gnu::always_inline]] inline void exponentiate(Lanes<float>& x) {
  using Values = Lanes<float>;
  const Values magic = Values{} + 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const Values bounded = x > 88.3f ? Values{} + 88.3f : (x < -87.3f ? Values{} - 87.3f : x);
  const Values shifted = bounded * 1.44269504f + magic;
  const Values n = shifted - magic;
  const Values r = (bounded - n * 0.693359375f) + n * 2.12194440e-4f;
  Values p = 1.9875691500e-4f * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const Words exponent = (reinterpret_cast<Words>(shifted) - reinterpret_cast<Words>(magic) + 127)
                         << 23;
  const Values result = p * reinterpret_cast<Values>(exponent);
  x = x < -87.3f ? Values{} : result;
}

[[gnu::always_inline]] inline void exponentiate(Lanes<double>& x) {
  for (int64_t i = 0; i < kLanes<double>; ++i) x[i] = std::exp(x[i]);
}

}  // namespace radgpt::kernels
