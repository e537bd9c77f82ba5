#include <cmath>
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
