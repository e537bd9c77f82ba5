#include "tests/kernels/call_memory.h"

#include <algorithm>

#include "libradgpt/base/philox.h"
#include "tests/catch.h"

namespace radgpt::kernels {

double CallMemory::uniform(int64_t row, int64_t column) const {
  const auto words = philox({static_cast<uint32_t>(column), static_cast<uint32_t>(row),
                             static_cast<uint32_t>(arrays_.size()), 0},
                            {seed_, 0});
  return words[0] * 0x1p-31 - 1.0;
}

void CallMemory::keep_inputs() {
  for (Array& array : arrays_) {
    if (array.use == Array::Use::kInput) array.before = array.bytes;
  }
}

void CallMemory::expect_written() const {
  int64_t forgotten = 0, outside = 0, changed = 0;
  const auto poisoned = [](const unsigned char* bytes, int64_t count) {
    return std::all_of(bytes, bytes + count, [](unsigned char byte) { return byte == kPoison; });
  };
  for (const Array& array : arrays_) {
    if (array.use == Array::Use::kInput) {
      changed += array.bytes != array.before;
      continue;
    }
    const int64_t inside = array.columns * array.element, row_bytes = array.stride * array.element;
    const unsigned char* row = array.bytes.data() + kGuard;
    for (int64_t i = 0; i < array.rows; ++i, row += row_bytes) {
      for (int64_t at = 0; at < inside; at += array.element) {
        forgotten += poisoned(row + at, array.element);
      }
      outside += !poisoned(row + inside, row_bytes - inside);
    }
    outside += !poisoned(array.bytes.data(), kGuard) + !poisoned(row, kGuard);
  }
  CHECK(forgotten == 0);
  CHECK(outside == 0);
  CHECK(changed == 0);
}

std::vector<unsigned char> CallMemory::outputs() const {
  std::vector<unsigned char> bytes;
  for (const Array& array : arrays_) {
    if (array.use != Array::Use::kOutput) continue;
    bytes.insert(bytes.end(), array.bytes.begin(), array.bytes.end());
  }
  return bytes;
}

void CallMemory::poison() {
  for (Array& array : arrays_) {
    if (array.use == Array::Use::kOutput) {
      std::fill(array.bytes.begin(), array.bytes.end(), kPoison);
    }
  }
}

}  // namespace radgpt::kernels
