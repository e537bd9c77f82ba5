#include "kernels/gemm/gemm.h"
#include "kernels/gemm/gemm_shape.h"

// DeviceGemm without a device: the executor's machine has no cuBLASLt, and what stands in for it
// rounds as it does.

namespace radgpt::kernels {

struct DeviceGemm::State {};

DeviceGemm::DeviceGemm(const std::string&) {}
DeviceGemm::~DeviceGemm() = default;

void DeviceGemm::run(const Gemm<BFloat16, BFloat16>& call, Stream) {
  check_gemm(call);
  gemm_cpu(call, OneWorker());
}

void DeviceGemm::run(const Gemm<BFloat16, float>& call, Stream) {
  check_gemm(call);
  gemm_cpu(call, OneWorker());
}

}  // namespace radgpt::kernels
