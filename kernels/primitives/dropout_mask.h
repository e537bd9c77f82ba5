#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "libradgpt/base/philox.h"

namespace radgpt::kernels {

/// Rounds of Philox for masks: the fewest that pass all tests of TestU01 (philox.h).
inline constexpr int kMaskRounds = 7;

/// The dropout mask of one adapter. Eight columns share a call of
///
///   philox<kMaskRounds>(counter = {column / 8, row, module, pack}, key)
///
/// and half a word each, in the order of columns, a word's lower half first: element (row, column)
/// is kept when its half is at least `threshold`. Never stored: forward and backward pass make it
/// anew.
struct DropoutMask {
  std::array<uint32_t, 2> key{};
  uint32_t pack = 0;
  uint32_t module = 0;
  uint32_t threshold = 0;  ///< of 2^16; 0: nothing is dropped
  double kept = 1.0;       ///< what a kept element is multiplied by, 1 / (1 - threshold / 2^16)

  /// Sets what is dropped: a probability in [0, 1), rounded to a multiple of 2^-16 below one.
  constexpr void drop(double probability) {
    constexpr double kHalves = 65536.0;
    threshold = std::min(static_cast<uint32_t>(probability * kHalves + 0.5), 65535u);
    kept = kHalves / (kHalves - threshold);
  }
  constexpr bool drops() const { return threshold != 0; }
  /// The random words of columns 8 * group .. 8 * group + 7.
  constexpr std::array<uint32_t, 4> words(uint32_t group, uint32_t row) const {
    return philox<kMaskRounds>({group, row, module, pack}, key);
  }
  constexpr bool keeps(uint32_t row, uint32_t column) const {
    const uint32_t word = words(column / 8, row)[column % 8 / 2];
    return (word >> (column % 2 * 16) & 0xFFFF) >= threshold;
  }
};

/// Words that hold one bit for each of `columns`.
constexpr int64_t mask_words(int64_t columns) { return (columns + 63) / 64; }

/// Rows [first, last) of the mask on the CPU, mask_words(columns) words each: bit k % 64 of word
/// k / 64 is set where column k is kept.
void mask_bits(const DropoutMask& mask, int64_t first, int64_t last, int64_t columns,
               uint64_t* bits);

}  // namespace radgpt::kernels
