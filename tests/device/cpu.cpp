#include "tests/device/test_type.h"

namespace radgpt {

at::ScalarType test_type() { return at::kFloat; }

CpuKernels::CpuKernels() = default;
CpuKernels::~CpuKernels() = default;

}  // namespace radgpt
