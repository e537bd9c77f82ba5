#pragma once

#include <array>
#include <cstdint>

namespace radgpt {

/// Philox4x32 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): four
/// 32-bit words that depend on nothing but key and counter. Every random number of the library is
/// such a function of (seed, what it is for, where), never of what was drawn before, which is what
/// makes runs repeatable on any number of threads and ranks. On the device too. Seven rounds are
/// the fewest that pass all tests of TestU01's BigCrush; ten are usual.
template <int rounds = 10>
constexpr std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter,
                                         std::array<uint32_t, 2> key) {
  for (int round = 0; round < rounds; ++round) {
    const uint64_t left = uint64_t{0xD2511F53} * counter[0];
    const uint64_t right = uint64_t{0xCD9E8D57} * counter[2];
    counter = {
        static_cast<uint32_t>(right >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(right),
        static_cast<uint32_t>(left >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(left)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

}  // namespace radgpt
