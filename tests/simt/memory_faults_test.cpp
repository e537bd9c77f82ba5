#include <cstdint>
#include <string>
#include <vector>

#include "tests/catch.h"
#include "tests/simt/fault_checks.h"

using namespace radgpt::kernels;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("Faults: a read beyond the end of a buffer") {
  const auto run = [](auto kernel) {
    simt::Memory memory;
    const float* x = memory.input("x", counted(63));
    auto* y = memory.output<float>("y", 63);
    launch("copy", kernel, {}, kFaultThreads, nullptr, x, y, 63);
    CHECK(memory.values<float>("y") == counted(63));
  };
  run(copy_with_stray_read<Twin::kRight>);
  CHECK(fault_of([&] { run(copy_with_stray_read<Twin::kFaulty>); }) ==
        "load in copy, block (0,0,0), thread 63: 4 bytes at x[252] in bytes, which has 252 (" +
            place_of("stray read") + ")");
}

TEST_CASE("Faults: a write beyond the end of a buffer") {
  const auto run = [](auto kernel) {
    simt::Memory memory;
    const float* x = memory.input("x", counted(63));
    auto* y = memory.output<float>("y", 63);
    launch("copy", kernel, {}, kFaultThreads, nullptr, x, y, 63);
    CHECK(memory.values<float>("y") == counted(63));
  };
  run(copy_with_stray_write<Twin::kRight>);
  CHECK(fault_of([&] { run(copy_with_stray_write<Twin::kFaulty>); }) ==
        "store in copy, block (0,0,0), thread 63: 4 bytes at y[252] in bytes, which has 252 (" +
            place_of("stray write") + ")");
}

TEST_CASE("Faults: two blocks write one element") {
  const auto run = [](auto kernel) {
    simt::Memory memory;
    auto* y = memory.output<float>("y", 3 * 5);
    launch("kernel", kernel, {3}, kFaultThreads, nullptr, y, 5);
  };
  run(race_of_writes<Twin::kRight>);
  CHECK_THAT(fault_of([&] { run(race_of_writes<Twin::kFaulty>); }),
             ContainsSubstring("store in kernel, block (") && ContainsSubstring("4 bytes at y[") &&
                 ContainsSubstring(", which block (") &&
                 ContainsSubstring(" writes too (" + place_of("race of writes") + ")"));
}

TEST_CASE("Faults: one block reads what another one writes, in whatever order") {
  const auto run = [](auto kernel, uint64_t seed) {
    const simt::Order order(seed);
    simt::Memory memory;
    auto* y = memory.in_place("y", counted(2));
    launch("kernel", kernel, {2}, kFaultThreads, nullptr, y);
    CHECK(memory.values<float>("y") == std::vector<float>{2, 3});
  };
  int reads_first = 0;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    run(race_of_read_and_write<Twin::kRight>, seed);
    const std::string fault = fault_of([&] { run(race_of_read_and_write<Twin::kFaulty>, seed); });
    const std::string where = " too (" + place_of("race of read and write") + ")";
    if (fault.starts_with("store")) {
      ++reads_first;
      CHECK(fault ==
            "store in kernel, block (0,0,0), thread 0: 4 bytes at y[0] in bytes, which block "
            "(1,0,0) reads" +
                where);
    } else {
      CHECK(fault ==
            "load in kernel, block (1,0,0), thread 0: 4 bytes at y[0] in bytes, which block "
            "(0,0,0) writes" +
                where);
    }
  }
  CHECK(reads_first > 0);
  CHECK(reads_first < 8);
}

TEST_CASE("Faults: blocks count together without atomics") {
  const auto run = [](auto kernel) {
    simt::Memory memory;
    auto* count = memory.in_place("count", std::vector<uint32_t>{0});
    launch("kernel", kernel, {3}, kFaultThreads, nullptr, count);
    CHECK(memory.values<uint32_t>("count")[0] == 3 * kFaultThreads);
  };
  run(race_of_counts<Twin::kRight>);
  CHECK_THAT(fault_of([&] { run(race_of_counts<Twin::kFaulty>); }),
             ContainsSubstring("load in kernel, block (") &&
                 ContainsSubstring("4 bytes at count[0] in bytes, which block ("));
}

TEST_CASE("Faults: a vector load at an address that is not a multiple of its size") {
  const std::vector<float> y = result(misaligned_load<Twin::kRight>, 4 * kCount + 4, 4 * kCount, 0);
  CHECK(y[0] == 5);
  CHECK_THAT(
      fault_of([] { result(misaligned_load<Twin::kFaulty>, 4 * kCount + 4, 4 * kCount, 0); }),
      ContainsSubstring("load in kernel, block (0,0,0), thread ") &&
          ContainsSubstring(": 16 bytes at 0x") &&
          ContainsSubstring(", which is not a multiple of it (" + place_of("misaligned load") +
                            ")"));
}

TEST_CASE("Faults: a write to an input") {
  const auto run = [](auto kernel) {
    simt::Memory memory;
    const float* x = memory.input("x", counted(kCount));
    auto* y = memory.output<float>("y", kCount);
    launch("kernel", kernel, {}, kFaultThreads, nullptr, const_cast<float*>(x), y);
    CHECK(memory.values<float>("y") == counted(kCount));
  };
  run(write_to_input<Twin::kRight>);
  CHECK_THAT(
      fault_of([&] { run(write_to_input<Twin::kFaulty>); }),
      ContainsSubstring("store in kernel, block (0,0,0), thread ") &&
          ContainsSubstring("] in bytes, which is an input (" + place_of("write to input") + ")"));
}

TEST_CASE("Faults: an element that nobody writes") {
  const auto written = [](auto kernel) {
    simt::Memory memory;
    auto* y = memory.output<float>("y", kCount);
    launch("kernel", kernel, {}, kFaultThreads, nullptr, y);
    CHECK(memory.every_byte_written("y") == (memory.bytes_written("y") == 4 * kCount));
    return memory.bytes_written("y");
  };
  CHECK(written(forget_an_element<Twin::kRight>) == 4 * kCount);
  CHECK(written(forget_an_element<Twin::kFaulty>) == 4 * (kCount - 1));
}

TEST_CASE("Faults: a read of what nobody has written") {
  const auto run = [](auto kernel) {
    simt::Memory memory;
    auto* y = memory.output<float>("y", kCount);
    launch("kernel", kernel, {}, kFaultThreads, nullptr, y);
    CHECK(memory.values<float>("y") == std::vector<float>(kCount, 1.0f));
  };
  run(read_of_nothing<Twin::kRight>);
  CHECK_THAT(fault_of([&] { run(read_of_nothing<Twin::kFaulty>); }),
             ContainsSubstring("load in kernel, block (0,0,0), thread ") &&
                 ContainsSubstring("] in bytes, which nobody has written"));
}

#ifndef __SANITIZE_ADDRESS__  // which ends the process there
TEST_CASE("Faults: a write beyond the end of an array in shared memory") {
  const auto run = [](auto kernel) {
    simt::Memory memory;
    auto* y = memory.output<float>("y", kCount);
    launch("kernel", kernel, {.shared_bytes = 4 * kCount}, kFaultThreads, nullptr, y);
    CHECK(memory.every_byte_written("y"));
  };
  run(shared_overrun<Twin::kRight>);
  CHECK_THAT(fault_of([&] { run(shared_overrun<Twin::kFaulty>); }),
             ContainsSubstring("shared memory in kernel, block (0,0,0)"));
}
#endif
