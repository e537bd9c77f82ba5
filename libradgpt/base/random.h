#pragma once

#include <array>
#include <cstdint>

#include "libradgpt/base/philox.h"

namespace radgpt {

/// What a stream of random numbers is for, so that two uses never share numbers.
enum class RandomStream : uint32_t {
  kInitialisation = 1,
  kDropout = 2,
  kOrder = 3,
  kSampling = 4,
  kBootstrap = 5,
  kSimulation = 6,
  kEmbeddingNoise = 7,
};

/// A sequence of numbers keyed by (seed, stream, a, b); cheap to make, copied freely.
class Random {
 public:
  Random(uint64_t seed, RandomStream stream, uint64_t a = 0, uint32_t b = 0);

  /// 32 random bits.
  uint32_t next_bits();
  /// Uniform in [0, 1) with 32 bits.
  double next_uniform();
  /// Uniform in [0, n), exactly (rejection). Requires n >= 1.
  uint32_t next_below(uint32_t n);
  /// Normal with mean 0 and deviation 1 (Box-Muller).
  double next_normal();

 private:
  std::array<uint32_t, 2> key_;
  std::array<uint32_t, 4> counter_;
  std::array<uint32_t, 4> block_{};
  int used_ = 4;
};

}  // namespace radgpt
