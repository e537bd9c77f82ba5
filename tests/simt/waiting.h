#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "tests/simt/fault.h"

namespace simt {

/// What a thread waits for.
enum class Wait : uint8_t {
  kNothing,
  kBarrier,
  kWarpBarrier,
  kShuffle,
  kTranspose,
  kMultiplyAdd,
  kEnd,  // of the block
};

struct Waiting {
  Wait wait = Wait::kNothing;
  Where where;
};

/// Whether all wait for one thing at one place of the source.
bool all_alike(std::span<const Waiting> threads);

/// Who waits where, of `all` that should wait alike. `who` names kernel, block and warp.
std::string divergence(std::span<const Waiting> threads, int all, const std::string& who);

}  // namespace simt
