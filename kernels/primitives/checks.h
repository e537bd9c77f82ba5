#pragma once

#include <cstdint>

#include "libradgpt/base/error.h"

namespace radgpt::kernels {

// What launchers demand of their arguments. `who` is the kernel.

/// An array that may be missing.
inline void check_aligned(const char* who, const char* name, const void* pointer) {
  require(reinterpret_cast<uintptr_t>(pointer) % 16 == 0, who, ": ", name,
          " must be aligned to 16 bytes, got address ", pointer);
}

/// An array of `count` elements or rows: it is missing where there are none, as LibTorch's empty
/// tensors are.
inline void check_array(const char* who, const char* name, const void* pointer, int64_t count) {
  require(pointer != nullptr || count == 0, who, ": ", name, " must not be null");
  check_aligned(who, name, pointer);
}

inline void check_multiple_of_8(const char* who, const char* name, int64_t value) {
  require(value >= 0 && value % 8 == 0, who, ": ", name, " must be a multiple of 8 on a GPU, got ",
          value);
}

/// The row stride of a matrix of that many columns.
inline void check_stride(const char* who, const char* name, int64_t stride, int64_t columns) {
  check_multiple_of_8(who, name, stride);
  require(stride >= columns, who, ": ", name, " must be at least ", columns, ", got ", stride);
}

}  // namespace radgpt::kernels
