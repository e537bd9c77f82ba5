#pragma once

#include <cstdlib>
#include <cstring>
#include <memory>

#include "kernels/primitives/stream.h"
#include "tests/catch.h"
#include "tests/kernels/accuracy.h"
#include "tests/kernels/call_memory.h"
#include "tests/kernels/reference.h"
#include "tests/kernels/written.h"
#include "tests/simt/order.h"

namespace radgpt::kernels {

/// Scratch memory of a call, NaN at first.
class CallWorkspace {
 public:
  explicit CallWorkspace(size_t bytes)
      : bytes_(bytes), data_(std::aligned_alloc(256, (bytes + 256) / 256 * 256), std::free) {
    std::memset(data_.get(), kPoison, bytes);
  }
  operator Workspace() const { return {data_.get(), bytes_}; }

 private:
  size_t bytes_;
  std::unique_ptr<void, void (*)(void*)> data_;
};

/// Runs a kernel of the GPU twice through the executor, with threads in different orders: it writes
/// every element of its outputs and nothing else, the same bits both times, and is as accurate as
/// the plain formula in its type. `run` makes its own workspace.
template <typename Call, typename Run>
void expect_right_kernel(CallMemory& memory, const Call& call, const Run& run) {
  {
    const simt::Order order(1);
    run();
  }
  memory.expect_written();
  expect_as_accurate_as<BFloat16>(reference(call, Arithmetic::kPlain), written(call),
                                  reference(call, Arithmetic::kExact));
  const std::vector<unsigned char> first = memory.outputs();
  memory.poison();
  {
    const simt::Order order(2);
    run();
  }
  CHECK(memory.outputs() == first);
}

}  // namespace radgpt::kernels
