#include "tests/simt/memory.h"

#include <numeric>
#include <string>
#include <vector>

#include "kernels/primitives/device.cuh"
#include "tests/catch.h"

using namespace radgpt::kernels;
using Catch::Matchers::ContainsSubstring;

namespace {

// y[i] = x[i * step], two bytes each.
RADGPT_KERNEL(kWarp, 1) void gather(const uint16_t* x, uint16_t* y, int count, int step) {
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kWarp) {
    store(y + i, load<uint16_t>(x + i * step));
  }
}

// sums[i] = sums[i] + x[0], twice over.
RADGPT_KERNEL(kWarp, 1) void add_first(const float* x, float* sums) {
  for (int round = 0; round < 2; ++round) {
    store(sums + threadIdx.x, load<float>(sums + threadIdx.x) + load<float>(x));
  }
}

RADGPT_KERNEL(kWarp, 1) void copy_eight(const uint16_t* x, uint16_t* y) {
  RADGPT_SHARED(uint16_t, words, 8 * kWarp);
  async_copy16(words + 8 * threadIdx.x, x + 8 * threadIdx.x);
  async_commit();
  async_wait<0>();
  store(y + 8 * threadIdx.x, *reinterpret_cast<const Words4*>(words + 8 * threadIdx.x));
  store(y + 8 * threadIdx.x, load_once(x + 8 * threadIdx.x));
}

std::vector<uint16_t> counted(size_t count) {
  std::vector<uint16_t> values(count);
  std::iota(values.begin(), values.end(), uint16_t{0});
  return values;
}

}  // namespace

TEST_CASE("Simt memory: counts what is asked for, and each sector once", "[small]") {
  simt::Memory memory;
  const uint16_t* x = memory.input("x", counted(200 * 20));
  auto* y = memory.output<uint16_t>("y", 200);
  launch("gather", gather, {}, kWarp, nullptr, x, y, 200, 1);
  REQUIRE(memory.launches().size() == 1);
  CHECK(memory.launches()[0].kernel == "gather");
  CHECK(memory.traffic("x").requested == simt::Bytes{400, 0});
  CHECK(memory.traffic("x").distinct == simt::Bytes{13 * 32, 0});  // 400 bytes lie in 13 sectors
  CHECK(memory.traffic("y").requested == simt::Bytes{0, 400});
  CHECK(memory.traffic("y").distinct == simt::Bytes{0, 400});  // the last sector ends with y
  CHECK(memory.values<uint16_t>("y") == counted(200));

  launch("gather", gather, {}, kWarp, nullptr, x, y, 200, 20);  // 40 bytes apart
  const simt::Launch& second = memory.launches()[1];
  CHECK(second.buffers.at("x").requested == simt::Bytes{400, 0});
  CHECK(second.buffers.at("x").distinct == simt::Bytes{200 * 32, 0});
  CHECK(second.total().requested == simt::Bytes{400, 400});
  CHECK(memory.traffic().requested == simt::Bytes{800, 800});
  CHECK(memory.traffic().distinct == simt::Bytes{416 + 6400, 800});
}

TEST_CASE("Simt memory: what is read twice is asked for twice and distinct once", "[small]") {
  simt::Memory memory;
  const float* x = memory.input("x", std::vector<float>{2});
  auto* sums = memory.in_place("sums", std::vector<float>(kWarp, 1));
  launch("add_first", add_first, {}, kWarp, nullptr, x, sums);
  CHECK(memory.values<float>("sums") == std::vector<float>(kWarp, 5));
  CHECK(memory.traffic("x").requested == simt::Bytes{2 * kWarp * 4, 0});
  CHECK(memory.traffic("x").distinct == simt::Bytes{4, 0});
  CHECK(memory.traffic("sums").requested == simt::Bytes{2 * kWarp * 4, 2 * kWarp * 4});
  CHECK(memory.traffic("sums").distinct == simt::Bytes{kWarp * 4, kWarp * 4});
}

TEST_CASE("Simt memory: async copies and vector loads count as loads", "[small]") {
  simt::Memory memory;
  const uint16_t* x = memory.input("x", counted(8 * kWarp));
  auto* y = memory.output<uint16_t>("y", 8 * kWarp);
  launch("copy_eight", copy_eight, {}, kWarp, nullptr, x, y);
  CHECK(memory.traffic("x").requested == simt::Bytes{2 * 16 * kWarp, 0});
  CHECK(memory.traffic("x").distinct == simt::Bytes{16 * kWarp, 0});
  CHECK(memory.values<uint16_t>("y") == counted(8 * kWarp));
}

TEST_CASE("Simt memory: an output starts as NaN and knows its bytes that were written") {
  simt::Memory memory;
  const uint16_t* x = memory.input("x", counted(10));
  auto* y = memory.output<uint16_t>("y", 10);
  CHECK(memory.values<uint16_t>("y") == std::vector<uint16_t>(10, 0xFFFF));
  launch("gather", gather, {}, kWarp, nullptr, x, y, 9, 1);
  CHECK(memory.bytes_written("y") == 18);
  CHECK(!memory.every_byte_written("y"));
  launch("gather", gather, {}, kWarp, nullptr, x, y + 9, 1, 1);
  CHECK(memory.every_byte_written("y"));
}

TEST_CASE("Simt memory: launches follow each other, so blocks of two are no race", "[small]") {
  simt::Memory memory;
  const uint16_t* x = memory.input("x", counted(10));
  auto* y = memory.output<uint16_t>("y", 10);
  auto* z = memory.output<uint16_t>("z", 10);
  launch("gather", gather, {}, kWarp, nullptr, x, y, 10, 1);
  launch("gather", gather, {}, kWarp, nullptr, y, z, 10, 1);
  launch("gather", gather, {}, kWarp, nullptr, x, y, 10, 1);
  CHECK(memory.values<uint16_t>("z") == counted(10));
}

TEST_CASE("Simt memory: kernels run without one, and their bytes are counted", "[small]") {
  const std::vector<uint16_t> x = counted(100);
  std::vector<uint16_t> y(100);
  const simt::Bytes before = simt::requested_bytes();
  launch("gather", gather, {}, kWarp, nullptr, x.data(), y.data(), 100, 1);
  CHECK(y == x);
  CHECK(simt::requested_bytes().read - before.read == 200);
  CHECK(simt::requested_bytes().written - before.written == 200);
}

#ifndef __SANITIZE_ADDRESS__  // which ends the process there
RADGPT_KERNEL(1, 1) void store_without_asking(float* y, int i) { y[i] = 1; }
TEST_CASE("Simt memory: a write beside a buffer past store is a fault") {
  for (const int i : {-1, 3}) {
    simt::Memory memory;
    auto* y = memory.output<float>("y", 3);
    CHECK_THROWS_WITH(launch("stray", store_without_asking, {}, 1, nullptr, y, i),
                      ContainsSubstring("stray: y was written beside, not by store"));
  }
}
#endif

TEST_CASE("Simt memory: a load where there is no buffer is a fault") {
  const std::vector<uint16_t> x = counted(100);
  simt::Memory memory;
  auto* y = memory.output<uint16_t>("y", 100);
  CHECK_THROWS_WITH(launch("gather", gather, {}, kWarp, nullptr, x.data(), y, 100, 1),
                    ContainsSubstring("load in gather, block (0,0,0), thread ") &&
                        ContainsSubstring("2 bytes at y[") &&
                        ContainsSubstring("] in bytes, which has 200 (memory_test.cpp:"));
  CHECK(memory.launches().empty());
}

TEST_CASE("Simt memory: a fault leaves the executor as it was") {
  const std::vector<uint16_t> x = counted(100);
  for (int round = 0; round < 3; ++round) {
    simt::Memory memory;
    auto* y = memory.output<uint16_t>("y", 100);
    const uint16_t* input = memory.input("x", x);
    CHECK_THROWS_AS(launch("gather", gather, {}, kWarp, nullptr, input, y, 101, 1), simt::Fault);
    launch("gather", gather, {}, kWarp, nullptr, input, y, 100, 1);
    CHECK(memory.values<uint16_t>("y") == x);
    CHECK(memory.traffic("y").requested == simt::Bytes{0, 200});
  }
}
