#pragma once

#include <array>
#include <cstdint>

#include "libradgpt/base/philox.h"

namespace radgpt::kernels {

inline constexpr int kMaskRounds = 7;

/// The dropout mask of one adapter: element (row, column) is kept when word `column % 4` of
///
///   philox<kMaskRounds>(counter = {column / 4, row, module, pack}, key)
///
/// is at least `threshold`, dropout * 2^32. Never stored: forward and backward pass make it anew,
/// four columns a call.
struct DropoutMask {
  std::array<uint32_t, 2> key{};
  uint32_t pack = 0;
  uint32_t module = 0;
  uint32_t threshold = 0;  ///< 0: nothing is dropped
  double kept = 1.0;       ///< what a kept element is multiplied by, 1 / (1 - dropout)

  constexpr bool drops() const { return threshold != 0; }
  /// The random words of columns 4 * quad .. 4 * quad + 3.
  constexpr std::array<uint32_t, 4> words(uint32_t quad, uint32_t row) const {
    return philox<kMaskRounds>({quad, row, module, pack}, key);
  }
};

/// Words that hold one bit for each of `columns`.
constexpr int64_t mask_words(int64_t columns) { return (columns + 63) / 64; }

/// Rows [first, last) of the mask on the CPU, mask_words(columns) words each: bit k % 64 of word
/// k / 64 is set where column k is kept.
void mask_bits(const DropoutMask& mask, int64_t first, int64_t last, int64_t columns,
               uint64_t* bits);

}  // namespace radgpt::kernels
