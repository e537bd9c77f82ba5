#pragma once

#include "tests/catch.h"
#include "tests/kernels/accuracy.h"
#include "tests/kernels/call_memory.h"
#include "tests/kernels/device_memory.h"
#include "tests/kernels/reference.h"
#include "tests/kernels/written.h"

namespace radgpt::kernels {

/// Runs a kernel of the GPU twice, with threads in different orders: it writes every element of its
/// outputs and nothing else, the same bits both times, and is as accurate as the plain formula in
/// its type. `run` takes its workspace of `memory`.
template <typename Call, typename Run>
void expect_right_kernel(CallMemory& memory, const Call& call, const Run& run) {
  const auto run_in_order = [&](uint64_t seed) {
    const DeviceOrder order(seed);
    run();
    synchronise();
  };
  run_in_order(1);
  memory.expect_written();
  expect_as_accurate_as<BFloat16>(reference(call, Arithmetic::kPlain), written(call),
                                  reference(call, Arithmetic::kExact));
  const std::vector<unsigned char> first = memory.outputs();
  memory.reset();
  run_in_order(2);
  CHECK(memory.outputs() == first);
}

}  // namespace radgpt::kernels
