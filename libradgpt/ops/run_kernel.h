#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/DeviceGuard.h>

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

/// The stream that LibTorch uses on the device of a tensor, for a call of a kernel: kernels go to
/// the current device, which is that of the tensor while this lives.
class DeviceStream {
 public:
  DeviceStream(const DeviceKernels& kernels, const at::Tensor& tensor)
      : guard_(tensor.device()), stream_(kernels.stream()) {}
  operator kernels::Stream() const { return stream_; }

 private:
  c10::DeviceGuard guard_;
  kernels::Stream stream_;
};

/// Runs a kernel where `tensor` is: on_device(kernels of the device, stream), or on_cpu(workers).
/// T is the type of the call; the device has kernels for bfloat16 alone.
template <typename T, typename OnDevice, typename OnCpu>
void run_kernel(const at::Tensor& tensor, const OnDevice& on_device, const OnCpu& on_cpu) {
  if constexpr (std::is_same_v<T, kernels::BFloat16>) {
    if (const DeviceKernels* device = device_kernels(tensor)) {
      return on_device(*device, DeviceStream(*device, tensor));
    }
  } else {
    device_kernels(tensor);  // refuses other types on a GPU
  }
  on_cpu(TorchWorkers());
}

}  // namespace radgpt
