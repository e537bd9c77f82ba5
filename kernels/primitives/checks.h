#pragma once

#include <cstdint>

#include "libradgpt/base/error.h"

namespace radgpt::kernels {

// What launchers demand of their arguments. `who` is the kernel.

inline void check_aligned(const char* who, const char* name, const void* pointer) {
  require(reinterpret_cast<uintptr_t>(pointer) % 16 == 0, who, ": ", name,
          " must be aligned to 16 bytes, got address ", pointer);
}

inline void check_multiple_of_8(const char* who, const char* name, int64_t value) {
  require(value >= 0 && value % 8 == 0, who, ": ", name, " must be a multiple of 8 on a GPU, got ",
          value);
}

}  // namespace radgpt::kernels
