#pragma once

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>

namespace radgpt {

/// A seed, which RADGPT_TEST_SEED repeats; says it.
inline uint64_t chosen_seed(const char* test) {
  const char* given = std::getenv("RADGPT_TEST_SEED");
  const uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
  std::cout << test << ": RADGPT_TEST_SEED=" << seed << "\n";
  return seed;
}

}  // namespace radgpt
