#include "libradgpt/ops/matrix_product.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include "libradgpt/ops/run_kernel.h"
#include "libradgpt/ops/visit_type.h"

namespace radgpt {

namespace {

kernels::Factor<kernels::BFloat16> factor_of(const at::Tensor& matrix) {
  using kernels::Transpose;
  const bool rows = matrix.stride(1) == 1;
  require(rows || matrix.stride(0) == 1, "matrix product: one stride must be 1, got ",
          matrix.strides());
  return {values_of<kernels::BFloat16>(matrix), rows ? matrix.stride(0) : matrix.stride(1),
          rows ? Transpose::kNo : Transpose::kYes};
}

}  // namespace

void matrix_product_into(at::Tensor result, const at::Tensor& a, const at::Tensor& b) {
  const DeviceKernels* device = device_kernels(a);
  if (device == nullptr) {
    at::mm_out(result, a, b);
    return;
  }
  device->gemm({.m = a.size(0),
                .n = b.size(1),
                .k = a.size(1),
                .a = factor_of(a),
                .b = factor_of(b),
                .d = mutable_values_of<kernels::BFloat16>(result),
                .d_stride = result.stride(0)},
               DeviceStream(*device, a));
}

at::Tensor matrix_product(const at::Tensor& a, const at::Tensor& b) {
  if (device_kernels(a) == nullptr) return at::mm(a, b);
  at::Tensor result = at::empty({a.size(0), b.size(1)}, a.options());
  matrix_product_into(result, a, b);
  return result;
}

}  // namespace radgpt
