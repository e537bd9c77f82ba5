#define USE_C10D_NCCL

#include <cstdlib>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include "libradgpt/distributed/device_backend.h"

// Only in builds with CUDA.

namespace radgpt {

namespace {

c10::intrusive_ptr<c10d::Backend> make_nccl(const c10::intrusive_ptr<c10d::Store>& store, int rank,
                                            int size, std::chrono::milliseconds timeout,
                                            const std::string& interface) {
  setenv("NCCL_SOCKET_IFNAME", ("=" + interface).c_str(), 0);  // =: this one, no prefix
  const auto options = c10d::ProcessGroupNCCL::Options::create();
  // Gloo carries every step's losses, so a peer that fails shows there first, with a line; NCCL's
  // own watchdog would end the process with a stack trace.
  options->timeout = 2 * timeout;
  return c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank, size, options);
}

[[maybe_unused]] const bool installed = [] {
  device_backend_maker() = make_nccl;
  return true;
}();

}  // namespace

}  // namespace radgpt
