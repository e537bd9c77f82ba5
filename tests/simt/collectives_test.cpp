#include <algorithm>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "kernels/primitives/bfloat16.h"
#include "kernels/primitives/device.cuh"
#include "tests/catch.h"
#include "tests/simt/memory.h"
#include "tests/simt/order.h"

using namespace radgpt::kernels;

namespace {

constexpr int kThreads = 64;

RADGPT_KERNEL(kWarp, 1) void shuffles(uint32_t* by_mask, uint32_t* from_lane, double* halves) {
  const uint32_t lane = threadIdx.x;
  for (int mask = 1; mask < kWarp; ++mask) {
    store(by_mask + mask * kWarp + lane, shuffle_xor(lane * 1000, mask));
  }
  store(from_lane + lane, shuffle(lane * 7, static_cast<int>((lane * 5 + 3) % kWarp)));
  store(halves + lane, shuffle_xor(lane + 0.5, 1));
}

RADGPT_KERNEL(kWarp, 1) void transpose(const uint16_t* x, uint16_t* y) {
  const uint32_t at = threadIdx.x / 4 * 8 + threadIdx.x % 4 * 2;
  store(y + at, transpose_8x8(load<uint32_t>(x + at)));
}

// One register of each lane at a time, so that the test sees which element it is.
RADGPT_KERNEL(kWarp, 1)
void multiply(const uint32_t* a, const uint32_t* b, const float* c, float* d) {
  const uint32_t lane = threadIdx.x;
  uint32_t a_words[4];
  uint32_t b_words[2];
  float sums[4];
  for (int i = 0; i < 4; ++i) a_words[i] = load<uint32_t>(a + lane * 4 + i);
  for (int i = 0; i < 2; ++i) b_words[i] = load<uint32_t>(b + lane * 2 + i);
  for (int i = 0; i < 4; ++i) sums[i] = load<float>(c + lane * 4 + i);
  multiply_add(sums, a_words, b_words);
  for (int i = 0; i < 4; ++i) store(d + lane * 4 + i, sums[i]);
}

// The warps of a block meet at shuffles a different number of times between two barriers.
RADGPT_KERNEL(kThreads, 1) void uneven_warps(uint32_t* y) {
  RADGPT_SHARED(uint32_t, sums, kThreads / kWarp);
  const uint32_t warp = threadIdx.x / kWarp;
  uint32_t sum = threadIdx.x % kWarp;
  for (uint32_t round = 0; round <= warp; ++round) {
    for (int mask = 1; mask < kWarp; mask *= 2) sum += shuffle_xor(sum, mask);
  }
  if (threadIdx.x % kWarp == 0) sums[warp] = sum;
  barrier();
  store(y + threadIdx.x, sums[1 - warp]);
}

RADGPT_KERNEL(kThreads, 1) void count(uint32_t* counters, uint32_t* before) {
  const uint32_t thread = blockIdx.x * blockDim.x + threadIdx.x;
  store(before + thread, atomic_add(counters + thread % 2, 3));
}

std::vector<BFloat16> draw(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<BFloat16> values;
  for (size_t i = 0; i < count; ++i) {
    values.emplace_back(static_cast<float>(static_cast<int>(random() % 2001) - 1000) / 256);
  }
  return values;
}

uint32_t packed(BFloat16 low, BFloat16 high) {
  return low.bits | static_cast<uint32_t>(high.bits) << 16;
}

}  // namespace

TEST_CASE("Simt: shuffles fetch the other lane's value", "[small]") {
  simt::Memory memory;
  auto* by_mask = memory.output<uint32_t>("by_mask", kWarp * kWarp);
  auto* from_lane = memory.output<uint32_t>("from_lane", kWarp);
  auto* halves = memory.output<double>("halves", kWarp);
  launch("shuffles", shuffles, {}, kWarp, nullptr, by_mask, from_lane, halves);
  for (uint32_t lane = 0; lane < kWarp; ++lane) {
    for (uint32_t mask = 1; mask < kWarp; ++mask) {
      REQUIRE(by_mask[mask * kWarp + lane] == (lane ^ mask) * 1000);
    }
    CHECK(from_lane[lane] == (lane * 5 + 3) % kWarp * 7);
    CHECK(halves[lane] == (lane ^ 1) + 0.5);
  }
}

TEST_CASE("Simt: transpose_8x8 transposes", "[small]") {
  std::vector<uint16_t> x(64);
  for (size_t i = 0; i < 64; ++i) x[i] = static_cast<uint16_t>(i * 1021);
  simt::Memory memory;
  const uint16_t* input = memory.input("x", x);
  auto* y = memory.output<uint16_t>("y", 64);
  launch("transpose", transpose, {}, kWarp, nullptr, input, y);
  for (size_t row = 0; row < 8; ++row) {
    for (size_t column = 0; column < 8; ++column) {
      CHECK(y[row * 8 + column] == x[column * 8 + row]);
    }
  }
}

// The tables "Matrix Fragments for mma.m16n8k16 with floating point type" of the PTX ISA, by
// element of a lane's fragment: a0 .. a7, b0 .. b3, c0 .. c3.
TEST_CASE("Simt: multiply_add has the fragments of mma.m16n8k16", "[small]") {
  const std::vector<BFloat16> a = draw(16 * 16, 1);
  const std::vector<BFloat16> b = draw(16 * 8, 2);
  std::vector<float> expected(16 * 8);
  for (size_t i = 0; i < expected.size(); ++i) expected[i] = static_cast<float>(i) / 8;
  const std::vector<float> c = expected;
  for (size_t row = 0; row < 16; ++row) {
    for (size_t column = 0; column < 8; ++column) {
      for (size_t k = 0; k < 16; ++k) {
        expected[row * 8 + column] += a[row * 16 + k] * b[k * 8 + column];
      }
    }
  }
  std::vector<uint32_t> a_words;
  std::vector<uint32_t> b_words;
  std::vector<float> c_lanes;
  std::vector<size_t> places;
  for (size_t lane = 0; lane < 32; ++lane) {
    const size_t group = lane >> 2;
    const size_t in_group = lane % 4;
    const auto a_element = [&](size_t i) {
      const size_t row = i < 2 || (4 <= i && i < 6) ? group : group + 8;
      const size_t column = in_group * 2 + (i & 1) + (i < 4 ? 0 : 8);
      return a[row * 16 + column];
    };
    const auto b_element = [&](size_t i) {
      return b[(in_group * 2 + (i & 1) + (i < 2 ? 0 : 8)) * 8 + group];
    };
    for (size_t i = 0; i < 8; i += 2) a_words.push_back(packed(a_element(i), a_element(i + 1)));
    for (size_t i = 0; i < 4; i += 2) b_words.push_back(packed(b_element(i), b_element(i + 1)));
    for (size_t i = 0; i < 4; ++i) {
      const size_t row = i < 2 ? group : group + 8;
      places.push_back(row * 8 + in_group * 2 + (i & 1));
      c_lanes.push_back(c[places.back()]);
    }
  }
  simt::Memory memory;
  const uint32_t* a_input = memory.input("a", a_words);
  const uint32_t* b_input = memory.input("b", b_words);
  const float* c_input = memory.input("c", c_lanes);
  auto* d = memory.output<float>("d", 16 * 8);
  launch("multiply", multiply, {}, kWarp, nullptr, a_input, b_input, c_input, d);
  for (size_t i = 0; i < places.size(); ++i) CHECK(d[i] == expected[places[i]]);
}

TEST_CASE("Simt: warps meet as often as they like between barriers", "[small]") {
  for (uint64_t seed = 0; seed < 5; ++seed) {
    const simt::Order order(seed);
    simt::Memory memory;
    auto* y = memory.output<uint32_t>("y", kThreads);
    launch("uneven_warps", uneven_warps, {}, kThreads, nullptr, y);
    constexpr uint32_t kSum = 31 * 32 / 2;
    for (uint32_t i = 0; i < kThreads; ++i) CHECK(y[i] == (i < kWarp ? kSum * 32 : kSum));
  }
}

TEST_CASE("Simt: atomic_add counts across blocks and returns what was there", "[small]") {
  simt::Memory memory;
  auto* counters = memory.in_place("counters", std::vector<uint32_t>{0, 1});
  auto* before = memory.output<uint32_t>("before", 3 * kThreads);
  launch("count", count, {3}, kThreads, nullptr, counters, before);
  CHECK(counters[0] == 3 * 3 * kThreads / 2);
  CHECK(counters[1] == 3 * 3 * kThreads / 2 + 1);
  std::vector<uint32_t> seen = memory.values<uint32_t>("before");
  std::sort(seen.begin(), seen.end());
  CHECK(std::adjacent_find(seen.begin(), seen.end()) == seen.end());
  CHECK(memory.traffic("counters").requested == simt::Bytes{3 * kThreads * 4, 3 * kThreads * 4});
}

TEST_CASE("Simt: pack_bfloat16 rounds to nearest, ties to even", "[small]") {
  for (const float value : {0.0f, -0.0f, 1.0f, 1.00390625f, 1.01171875f, 3.14159f, -1e-40f, 3.4e38f,
                            std::numeric_limits<float>::infinity()}) {
    CHECK(pack_bfloat16(value, -value) == packed(BFloat16(value), BFloat16(-value)));
  }
  CHECK(high_bfloat16(pack_bfloat16(1, 2)) == 2);
  CHECK(low_bfloat16(pack_bfloat16(1, 2)) == 1);
}
