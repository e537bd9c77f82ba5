#pragma once

#include "tests/kernels/device_memory.h"
#include "tests/kernels/kernel_check.h"

namespace radgpt::kernels {

/// run() runs the call on the device, here with threads in two orders. It takes its workspace of
/// `memory`.
template <typename Call, typename Run>
void expect_right_kernel(CallMemory& memory, const Call& call, const Run& run) {
  const auto in_order = [&](uint64_t seed) {
    return [&run, seed] {
      const DeviceOrder order(seed);
      run();
      synchronise();
    };
  };
  expect_right_twice(memory, call, in_order(1), in_order(2));
}

}  // namespace radgpt::kernels
