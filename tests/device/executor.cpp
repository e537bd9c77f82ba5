#include "libradgpt/ops/device_kernel_table.h"
#include "tests/device/test_type.h"

namespace radgpt {

namespace {

kernels::Stream no_stream() { return nullptr; }

const bool installed = [] {
  install_device_kernels(device_kernel_table(no_stream), DeviceMemory::kHost);
  return true;
}();

}  // namespace

at::ScalarType test_type() { return installed ? at::kBFloat16 : at::kFloat; }

}  // namespace radgpt
