#include <cstdio>

#include "libradgpt/ops/device_kernel_table.h"
#include "tests/device/test_type.h"
#include "tests/simt/memory.h"

namespace radgpt {

namespace {

void executor_gemm(const kernels::Gemm<kernels::BFloat16>& call, kernels::Stream stream) {
  kernels::DeviceGemm().run(call, stream);
}

kernels::Stream no_stream() { return nullptr; }

bool install(DeviceMemory memory) {
  install_device_kernels(device_kernel_table(executor_gemm, no_stream), memory);
  return true;
}

const bool installed = install(DeviceMemory::kHost);

/// A program in which everything has quietly gone to the CPU would prove nothing: ctest fails it for
/// this line.
struct KernelsRan {
  ~KernelsRan() {
    if (simt::requested_bytes() == simt::Bytes{}) std::puts("no kernel of a GPU has run");
  }
} kernels_ran;

}  // namespace

CpuKernels::CpuKernels() { install(DeviceMemory::kCuda); }
CpuKernels::~CpuKernels() { install(DeviceMemory::kHost); }

at::ScalarType test_type() { return installed ? at::kBFloat16 : at::kFloat; }

}  // namespace radgpt
