#pragma once

#include <array>
#include <cstdint>

#include "libradgpt/ops/lora_pair.h"

namespace radgpt {

/// The mask of one pair: element (row, column) is kept when word `column % 4` of
///
///   philox(counter = {column / 4, row, module, pack}, key = philox_key(seed, step))
///
/// is at least dropout * 2^32. Never stored: forward and backward pass make it anew, row by row.
struct DropoutMask {
  std::array<uint32_t, 2> key{};
  uint32_t pack = 0;
  uint32_t module = 0;
  uint32_t threshold = 0;  ///< 0: nothing is dropped
  double kept = 1.0;       ///< what a kept element is multiplied by, 1 / (1 - dropout)

  /// Throws Error unless pair.dropout is in [0, 1).
  static DropoutMask of(const LoraPair& pair, const DropoutKey& key);
  bool drops() const { return threshold != 0; }
};

/// Columns that mask_row writes at a time.
inline constexpr int64_t kMaskStep = 64;

/// factors[0:columns] = `kept` where the mask keeps, else 0, for one row. Writes whole steps:
/// `factors` has room for `columns` rounded up to kMaskStep.
void mask_row(const DropoutMask& mask, int64_t row, int64_t columns, float* factors);
void mask_row(const DropoutMask& mask, int64_t row, int64_t columns, double* factors);

}  // namespace radgpt
