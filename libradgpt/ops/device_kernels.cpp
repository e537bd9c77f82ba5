#include "libradgpt/ops/device_kernels.h"

#include <ATen/Context.h>
#include <ATen/ops/empty.h>

#include <optional>

#include "libradgpt/base/error.h"
#include "libradgpt/ops/run_kernel.h"

namespace radgpt {

namespace {

struct Installed {
  DeviceKernels kernels;
  DeviceMemory memory;
};

std::optional<Installed>& installed() {
  static std::optional<Installed> kernels;
  return kernels;
}

}  // namespace

void install_device_kernels(const DeviceKernels& kernels, DeviceMemory memory) {
  installed() = Installed{kernels, memory};
}

const DeviceKernels* device_kernels_for_sums(const at::Tensor& tensor) {
  const std::optional<Installed>& found = installed();
  if (tensor.is_cuda() && !found) {
    fail(ErrorKind::kEnvironment,
         "ops: this build has no kernels for GPUs; build it with nvcc and LibTorch with CUDA");
  }
  const bool taken = tensor.is_cuda() || (found && found->memory == DeviceMemory::kHost);
  return taken ? &found->kernels : nullptr;
}

const DeviceKernels* device_kernels(const at::Tensor& tensor) {
  const bool bfloat16 = tensor.scalar_type() == at::kBFloat16;
  require(bfloat16 || !tensor.is_cuda(), "ops: a GPU computes in bfloat16, got ",
          tensor.scalar_type());
  return bfloat16 ? device_kernels_for_sums(tensor) : nullptr;
}

DeviceWorkspace::DeviceWorkspace(size_t bytes, const at::Tensor& tensor) {
  constexpr size_t kAlignment = 256;
  const auto room = static_cast<int64_t>(bytes + kAlignment);
  memory_ = at::empty({room}, tensor.options().dtype(at::kByte));
  const auto begin = reinterpret_cast<uintptr_t>(memory_.data_ptr());
  const uintptr_t aligned = (begin + kAlignment - 1) / kAlignment * kAlignment;
  workspace_ = {reinterpret_cast<void*>(aligned), bytes};
}

bool cuda_available() {
  return installed() && installed()->memory == DeviceMemory::kCuda && at::globalContext().hasCUDA();
}

void require_cuda(const std::string& who) {
  if (cuda_available()) return;
  fail(ErrorKind::kEnvironment, who, ": must be a device that is here, got cuda, and ",
       installed() ? "there is no CUDA device" : "this build has no kernels for GPUs");
}

}  // namespace radgpt
