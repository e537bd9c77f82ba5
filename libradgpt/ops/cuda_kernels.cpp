#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>

#include <map>

#include "libradgpt/ops/device_kernel_table.h"

// Only in builds with CUDA.

namespace radgpt {

namespace {

/// A handle and a workspace for each device and thread.
void cublaslt_gemm(const kernels::Gemm<kernels::BFloat16>& call, kernels::Stream stream) {
  static thread_local std::map<c10::DeviceIndex, kernels::DeviceGemm> products;
  products[c10::cuda::current_device()].run(call, stream);
}

kernels::Stream current_stream() { return c10::cuda::getCurrentCUDAStream().stream(); }

[[maybe_unused]] const bool installed = [] {
  install_device_kernels(device_kernel_table(cublaslt_gemm, current_stream), DeviceMemory::kCuda);
  return true;
}();

}  // namespace

}  // namespace radgpt
