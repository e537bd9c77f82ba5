#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "kernels/primitives/device.cuh"
#include "tests/catch.h"
#include "tests/simt/memory.h"
#include "tests/simt/order.h"

using namespace radgpt::kernels;

namespace {

constexpr int kThreads = 64;

// sums[row] = sum of x[row, :], one block a row.
RADGPT_KERNEL(kThreads, 1) void sum_rows(const float* x, int64_t columns, float* sums) {
  RADGPT_SHARED(float, partial, kThreads / kWarp);
  float sum = 0;
  for (int64_t i = threadIdx.x; i < columns; i += kThreads) {
    sum += load<float>(x + blockIdx.x * columns + i);
  }
  for (int mask = kWarp / 2; mask > 0; mask /= 2) sum += shuffle_xor(sum, mask);
  if (threadIdx.x % kWarp == 0) partial[threadIdx.x / kWarp] = sum;
  barrier();
  if (threadIdx.x == 0) store(sums + blockIdx.x, partial[0] + partial[1]);
}

RADGPT_KERNEL(kThreads, 1) void write_indices(Words4* y) {
  const uint32_t block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const uint32_t thread = block * blockDim.x + threadIdx.x;
  store(y + thread, Words4{{blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x}});
}

// Static arrays of two functions and dynamic memory lie side by side, all poisoned.
RADGPT_DEVICE uint32_t of_a_function(uint32_t value) {
  RADGPT_SHARED(uint32_t, words, kThreads);
  words[threadIdx.x] += value + 1;  // 0xFFFFFFFF + 1 is 0
  return words[threadIdx.x];
}

RADGPT_KERNEL(kThreads, 1) void use_shared(uint32_t* y) {
  RADGPT_SHARED(uint32_t, words, kThreads);
  RADGPT_SHARED(uint16_t, odd, 3);
  RADGPT_DYNAMIC_SHARED(uint32_t, dynamic);
  const uint32_t thread = threadIdx.x;
  const uint32_t poison = words[thread] & dynamic[thread] & (0xFFFF0000u | odd[thread % 3]);
  words[thread] = thread;
  dynamic[thread] = 2 * thread;
  const uint32_t first = of_a_function(10);
  const uint32_t second = of_a_function(10);
  barrier();
  if (thread == 0) odd[1] = 7;
  barrier();
  const uint32_t other = thread ^ 33;
  const bool right = poison == 0xFFFFFFFFu && words[other] == other && odd[1] == 7 &&
                     dynamic[other] == 2 * other && first == 10 && second == 21;
  store(y + blockIdx.x * kThreads + thread, right ? 1u : 0u);
}

RADGPT_KERNEL(kThreads, 1) void use_much_shared() {
  RADGPT_SHARED(uint8_t, words, 4096);
  words[threadIdx.x] = 0;
}

template <int threads>
RADGPT_KERNEL(threads, 1)
void bounded() {}

// tickets[i] = the thread that came i-th.
RADGPT_KERNEL(kThreads, 1) void take_tickets(uint32_t* next, uint32_t* tickets) {
  const uint32_t thread = blockIdx.x * kThreads + threadIdx.x;
  store(tickets + atomic_add(next, 1), thread);
}

std::vector<uint32_t> tickets(uint64_t seed) {
  const simt::Order order(seed);
  std::vector<uint32_t> next(1);
  std::vector<uint32_t> threads(4 * kThreads);
  launch("take_tickets", take_tickets, {4}, kThreads, nullptr, next.data(), threads.data());
  return threads;
}

std::string fault_of_launch(Grid grid, int threads) {
  try {
    launch("much", use_much_shared, grid, threads, nullptr);
  } catch (const simt::Fault& fault) {
    return fault.what();
  }
  return "no fault";
}

std::vector<float> run_sum_rows(int64_t rows, int64_t columns, uint64_t seed) {
  const simt::Order order(seed);
  simt::Memory memory;
  std::vector<float> x(static_cast<size_t>(rows * columns));
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 7);
  const float* input = memory.input("x", x);
  auto* sums = memory.output<float>("sums", rows);
  launch("sum_rows", sum_rows, {rows}, kThreads, nullptr, input, columns, sums);
  CHECK(memory.every_byte_written("sums"));
  CHECK(memory.traffic("x").requested == simt::Bytes{rows * columns * 4, 0});
  CHECK(memory.traffic("x").distinct == simt::Bytes{rows * columns * 4, 0});
  CHECK(memory.traffic("sums").requested == simt::Bytes{0, rows * 4});
  return memory.values<float>("sums");
}

}  // namespace

TEST_CASE("Simt: a kernel with shuffles, shared memory and a barrier sums rows", "[small]") {
  const std::vector<float> sums = run_sum_rows(3, 100, 1);
  for (int row = 0; row < 3; ++row) {
    int expected = 0;
    for (int i = 0; i < 100; ++i) expected += (row * 100 + i) % 7;
    CHECK(sums[static_cast<size_t>(row)] == static_cast<float>(expected));
  }
}

TEST_CASE("Simt: results of a right kernel do not depend on the order", "[small]") {
  const std::vector<float> sums = run_sum_rows(5, 1003, 0);
  for (uint64_t seed = 1; seed < 10; ++seed) CHECK(run_sum_rows(5, 1003, seed) == sums);
}

TEST_CASE("Simt: every thread of every block runs once and knows its place", "[small]") {
  constexpr uint32_t kX = 3;
  constexpr uint32_t kY = 2;
  constexpr uint32_t kZ = 2;
  simt::Memory memory;
  auto* y = memory.output<Words4>("y", kX * kY * kZ * kThreads);
  launch("write_indices", write_indices, {kX, kY, kZ}, kThreads, nullptr, y);
  uint32_t i = 0;
  for (uint32_t z = 0; z < kZ; ++z) {
    for (uint32_t row = 0; row < kY; ++row) {
      for (uint32_t x = 0; x < kX; ++x) {
        for (uint32_t thread = 0; thread < kThreads; ++thread) {
          const Words4& words = y[i++];
          REQUIRE(words.word[0] == x);
          REQUIRE(words.word[1] == row);
          REQUIRE(words.word[2] == z);
          REQUIRE(words.word[3] == thread);
        }
      }
    }
  }
}

TEST_CASE("Simt: a seed draws the order of blocks, warps and lanes", "[small]") {
  std::set<uint32_t> blocks;
  std::set<uint32_t> warps;
  std::set<uint32_t> lanes;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    const std::vector<uint32_t> threads = tickets(seed);
    CHECK(tickets(seed) == threads);
    CHECK(std::set<uint32_t>(threads.begin(), threads.end()).size() == threads.size());
    blocks.insert(threads[0] / kThreads);
    warps.insert(threads[0] % kThreads / kWarp);
    lanes.insert(threads[0] % kWarp);
  }
  CHECK(blocks.size() > 1);
  CHECK(warps.size() > 1);
  CHECK(lanes.size() > 1);
}

TEST_CASE("Simt: shared memory is each block's own, and poisoned", "[small]") {
  simt::Memory memory;
  auto* y = memory.output<uint32_t>("y", 3 * kThreads);
  launch("use_shared", use_shared, {.x = 3, .shared_bytes = 4 * kThreads}, kThreads, nullptr, y);
  CHECK(memory.values<uint32_t>("y") == std::vector<uint32_t>(3 * kThreads, 1));
}

TEST_CASE("Simt: a launch with more threads than the kernel is compiled for is a fault") {
  const auto bound = [](auto kernel) { return simt::bound_of(reinterpret_cast<void*>(kernel)); };
  CHECK(bound(sum_rows) == kThreads);
  CHECK(bound(bounded<32>) == 32);
  CHECK(bound(bounded<1024>) == 1024);
  CHECK(bound(fault_of_launch) == 0);
  CHECK(fault_of_launch({}, kThreads + 1) ==
        "launch of much: more threads than the kernel is compiled for, got 65");
}

TEST_CASE("Simt: a launch beyond the limits of a device is a fault") {
  CHECK(fault_of_launch({.shared_bytes = 101376 - 4096}, kThreads) == "no fault");
  CHECK(fault_of_launch({.shared_bytes = 101376 - 4095}, kThreads)
            .starts_with("shared memory in much, block (0,0,0), thread "));
  CHECK(fault_of_launch({.shared_bytes = 101377}, kThreads) ==
        "launch of much: a block has at most 101376 bytes of shared memory, got 101377");
  CHECK(fault_of_launch({}, kThreads) == "no fault");
  CHECK(fault_of_launch({}, 1025) == "launch of much: a block has 1 to 1024 threads, got 1025");
  CHECK(fault_of_launch({}, 0) == "launch of much: a block has 1 to 1024 threads, got 0");
  CHECK(fault_of_launch({1, 65536}, 1) ==
        "launch of much: a grid has 1 to 65535 blocks in y, got 65536");
  CHECK(fault_of_launch({1, 1, 65536}, 1) ==
        "launch of much: a grid has 1 to 65535 blocks in z, got 65536");
  CHECK(fault_of_launch({int64_t{1} << 31}, 1) ==
        "launch of much: a grid has 1 to 2^31 - 1 blocks in x, got 2147483648");
  CHECK(fault_of_launch({0, 65536}, 1) == "no fault");
}
