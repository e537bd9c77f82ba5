#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/primitives/bfloat16.h"
#include "tests/catch.h"
#include "tests/simt/faulty_kernels.cuh"
#include "tests/simt/memory.h"
#include "tests/simt/order.h"

using namespace radgpt::kernels;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr int kCount = kFaultThreads;

std::vector<float> counted(int count) {
  std::vector<float> values(static_cast<size_t>(count));
  std::iota(values.begin(), values.end(), 1.0f);
  return values;
}

// "faulty_kernels.cuh:LINE" of the line that ends with this comment.
std::string place_of(const std::string& comment) {
  const std::string file = "faulty_kernels.cuh";
  std::ifstream source(std::filesystem::path(__FILE__).parent_path() / file);
  std::string text;
  for (int line = 1; std::getline(source, text); ++line) {
    if (text.ends_with("  // " + comment)) return file + ":" + std::to_string(line);
  }
  return "no " + comment;
}

// The message of the fault that `run` must have, naming its kernel.
std::string fault_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const simt::Fault& fault) {
    return fault.what();
  }
  return "no fault";
}

using Copy = void (*)(const float*, float*);

// y of kernel(x, y), for x = 1, 2, ... in the order of `seed`.
std::vector<float> result(Copy kernel, int inputs, int outputs, uint64_t seed) {
  const simt::Order order(seed);
  simt::Memory memory;
  const float* x = memory.input("x", counted(inputs));
  auto* y = memory.output<float>("y", outputs);
  launch("kernel", kernel, {}, kFaultThreads, nullptr, x, y);
  return memory.values<float>("y");
}

std::vector<float> reversed(int count, int step) {
  std::vector<float> values = counted(count);
  for (int i = 0; i < count; i += step) {
    std::reverse(values.begin() + i, values.begin() + i + step);
  }
  return values;
}

// Whether some order of the faulty kernel gives another result.
bool some_order_differs(Copy kernel, int count, const std::vector<float>& expected) {
  for (uint64_t seed = 0; seed < 8; ++seed) {
    if (result(kernel, count, count, seed) != expected) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("Faults: a missing barrier changes the result") {
  const std::vector<float> expected = reversed(kCount, kCount);
  CHECK(!some_order_differs(reverse_block<Twin::kRight>, kCount, expected));
  CHECK(some_order_differs(reverse_block<Twin::kFaulty>, kCount, expected));
}

TEST_CASE("Faults: a missing barrier of the warp changes the result") {
  const std::vector<float> expected = reversed(kCount, kWarp);
  CHECK(!some_order_differs(reverse_warp<Twin::kRight>, kCount, expected));
  CHECK(some_order_differs(reverse_warp<Twin::kFaulty>, kCount, expected));
}

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

TEST_CASE("Faults: one block reads what another one writes") {
  const auto run = [](auto kernel) {
    simt::Memory memory;
    auto* y = memory.in_place("y", counted(4));
    launch("kernel", kernel, {4}, kFaultThreads, nullptr, y);
    CHECK(memory.values<float>("y") == std::vector<float>{2, 3, 4, 5});
  };
  run(race_of_read_and_write<Twin::kRight>);
  CHECK_THAT(fault_of([&] { run(race_of_read_and_write<Twin::kFaulty>); }),
             ContainsSubstring(" in kernel, block (") && ContainsSubstring("4 bytes at y[") &&
                 ContainsSubstring("too (" + place_of("race of read and write") + ")"));
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

TEST_CASE("Faults: a shuffle that half of the lanes do not reach") {
  const auto run = [](auto kernel) {
    simt::Memory memory;
    auto* y = memory.output<float>("y", kCount);
    launch("kernel", kernel, {}, kFaultThreads, nullptr, y);
    CHECK(memory.values<float>("y")[2] == 5);
  };
  run(divergent_shuffle<Twin::kRight>);
  CHECK_THAT(fault_of([&] { run(divergent_shuffle<Twin::kFaulty>); }),
             ContainsSubstring("shuffle in kernel, block (0,0,0), warp ") &&
                 ContainsSubstring("16 of 32 threads reached " + place_of("divergent shuffle") +
                                   " (shuffle), 16 have ended"));
}

TEST_CASE("Faults: a barrier that some threads do not reach") {
  const auto run = [](auto kernel) {
    simt::Memory memory;
    auto* y = memory.output<float>("y", kCount);
    launch("kernel", kernel, {2, 2}, kFaultThreads, nullptr, y);
  };
  const auto one_block = [](auto kernel) {
    simt::Memory memory;
    auto* y = memory.output<float>("y", kCount);
    launch("kernel", kernel, {}, kFaultThreads, nullptr, y);
    CHECK(memory.every_byte_written("y"));
  };
  one_block(divergent_barrier<Twin::kRight>);
  CHECK_THAT(fault_of([&] { run(divergent_barrier<Twin::kFaulty>); }),
             ContainsSubstring("barrier in kernel, block (") &&
                 ContainsSubstring("0): 40 of 64 threads reached " + place_of("divergent barrier") +
                                   " (barrier), 24 have ended"));
}

TEST_CASE("Faults: threads at two different barriers") {
  const auto run = [](auto kernel) {
    simt::Memory memory;
    auto* y = memory.output<float>("y", kCount);
    launch("kernel", kernel, {}, kFaultThreads, nullptr, y);
    CHECK(memory.every_byte_written("y"));
  };
  run(two_barriers<Twin::kRight>);
  CHECK(fault_of([&] { run(two_barriers<Twin::kFaulty>); }) ==
        "barrier in kernel, block (0,0,0): 32 of 64 threads reached " + place_of("first of two") +
            " (barrier), 32 reached " + place_of("second of two") + " (barrier)");
}

TEST_CASE("Faults: an async copy that nobody waits for") {
  CHECK(result(copy_in_background<Twin::kRight>, 4 * kCount, 4 * kCount, 0) == counted(4 * kCount));
  CHECK_THAT(fault_of([] { result(copy_in_background<Twin::kFaulty>, 4 * kCount, 4 * kCount, 0); }),
             ContainsSubstring("async_copy16 in kernel, block (0,0,0), thread ") &&
                 ContainsSubstring("(" + place_of("no wait") + ")"));
}

TEST_CASE("Faults: a copy read while its group is still open is NaN") {
  CHECK(result(wait_for_too_few<Twin::kRight>, 8 * kCount, 8 * kCount, 0) == counted(8 * kCount));
  const std::vector<float> y = result(wait_for_too_few<Twin::kFaulty>, 8 * kCount, 8 * kCount, 0);
  for (int i = 0; i < 8 * kCount; ++i) {
    const float value = y[static_cast<size_t>(i)];
    CHECK((i < 4 * kCount ? value == static_cast<float>(i + 1) : std::isnan(value)));
  }
}

TEST_CASE("Faults: fragments in the wrong order give another product") {
  std::vector<BFloat16> a;
  std::vector<BFloat16> b;
  for (int i = 0; i < 16 * 16; ++i) a.emplace_back(static_cast<float>(i * 7 % 11 - 5));
  for (int i = 0; i < 8 * 16; ++i) b.emplace_back(static_cast<float>(i * 5 % 13 - 6));
  std::vector<float> expected;
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 8; ++column) {
      float sum = 0;
      for (int k = 0; k < 16; ++k) sum += a[row * 16 + k] * b[column * 16 + k];
      expected.push_back(sum);
    }
  }
  const auto product = [&](auto kernel) {
    simt::Memory memory;
    const auto* a_words = reinterpret_cast<const uint32_t*>(memory.input("a", a));
    const auto* b_words = reinterpret_cast<const uint32_t*>(memory.input("b", b));
    auto* d = memory.output<float>("d", 16 * 8);
    launch("one_product", kernel, {}, kWarp, nullptr, a_words, b_words, d);
    return memory.values<float>("d");
  };
  CHECK(product(one_product<Twin::kRight>) == expected);
  CHECK(product(one_product<Twin::kFaulty>) != expected);
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
