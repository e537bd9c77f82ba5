#pragma once

#include <array>
#include <cstdint>

#include "libradgpt/base/philox.h"

namespace radgpt::kernels {

/// The dropout mask of one adapter: element (row, column) is kept when word `column % 4` of
///
///   philox(counter = {column / 4, row, module, pack}, key)
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
    return philox({quad, row, module, pack}, key);
  }
};

/// Columns that mask_row writes at a time.
inline constexpr int64_t kMaskStep = 64;

/// factors[0:columns] = `kept` where the mask keeps, else 0, for one row, on the CPU. Writes whole
/// steps: `factors` has room for `columns` rounded up to kMaskStep.
void mask_row(const DropoutMask& mask, int64_t row, int64_t columns, float* factors);
void mask_row(const DropoutMask& mask, int64_t row, int64_t columns, double* factors);
void mask_row(const DropoutMask& mask, int64_t row, int64_t columns, double* factors);

}  // namespace radgpt::kernels
