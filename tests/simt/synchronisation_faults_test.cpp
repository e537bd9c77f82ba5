#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "kernels/primitives/bfloat16.h"
#include "tests/catch.h"
#include "tests/simt/fault_checks.h"

using namespace radgpt::kernels;
using Catch::Matchers::ContainsSubstring;

namespace {

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

TEST_CASE("Faults: a copy on its way leaves nothing of what was there before") {
  CHECK(result(read_too_early<Twin::kRight>, 4 * kCount, 4 * kCount, 0) == counted(4 * kCount));
  for (const float value : result(read_too_early<Twin::kFaulty>, 4 * kCount, 4 * kCount, 0)) {
    CHECK(std::isnan(value));
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
