#include <c10/cuda/CUDAStream.h>

#include "libradgpt/ops/device_kernel_table.h"

// Only in builds with CUDA.

namespace radgpt {

namespace {

kernels::Stream current_stream() { return c10::cuda::getCurrentCUDAStream().stream(); }

[[maybe_unused]] const bool installed = [] {
  install_device_kernels(device_kernel_table(current_stream), DeviceMemory::kCuda);
  return true;
}();

}  // namespace

}  // namespace radgpt
