#pragma once

#include <ATen/core/Tensor.h>

#include <type_traits>

#include "kernels/primitives/bfloat16.h"
#include "libradgpt/ops/device_kernels.h"
#include "libradgpt/ops/torch_workers.h"

namespace radgpt {

/// Scratch memory for a kernel of the device, beside `tensor`.
class DeviceWorkspace {
 public:
  DeviceWorkspace(size_t bytes, const at::Tensor& tensor);
  operator kernels::Workspace() const { return workspace_; }

 private:
  at::Tensor memory_;
  kernels::Workspace workspace_;
};

/// Runs a kernel where `tensor` is: on_device(kernels of the device, stream), or on_cpu(workers).
/// T is the type of the call; the device has kernels for bfloat16 alone.
template <typename T, typename OnDevice, typename OnCpu>
void run_kernel(const at::Tensor& tensor, const OnDevice& on_device, const OnCpu& on_cpu) {
  if constexpr (std::is_same_v<T, kernels::BFloat16>) {
    if (const DeviceKernels* device = device_kernels(tensor)) {
      return on_device(*device, device->stream());
    }
  } else {
    device_kernels(tensor);  // refuses other types on a GPU
  }
  on_cpu(TorchWorkers());
}

}  // namespace radgpt
