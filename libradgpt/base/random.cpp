#include "libradgpt/base/random.h"

#include <cmath>

namespace radgpt {

Random::Random(uint64_t seed, RandomStream stream, uint64_t a, uint32_t b)
    : key_{static_cast<uint32_t>(seed),
           static_cast<uint32_t>(seed >> 32) ^ (static_cast<uint32_t>(stream) << 24)},
      counter_{0, b, static_cast<uint32_t>(a), static_cast<uint32_t>(a >> 32)} {}

uint32_t Random::next_bits() {
  if (used_ == 4) {
    block_ = philox(counter_, key_);
    ++counter_[0];
    used_ = 0;
  }
  return block_[used_++];
}

double Random::next_uniform() { return next_bits() * 0x1p-32; }

uint32_t Random::next_below(uint32_t n) {
  const uint32_t reject_below = (0u - n) % n;  // 2^32 mod n numbers are too many
  uint32_t bits = next_bits();
  while (bits < reject_below) bits = next_bits();
  return bits % n;
}

double Random::next_normal() {
  const double radius = std::sqrt(-2.0 * std::log((next_bits() + 1.0) * 0x1p-32));
  return radius * std::cos(6.283185307179586 * next_uniform());
}

}  // namespace radgpt
