#pragma once

#include <ATen/core/Tensor.h>

namespace radgpt {

// The large products that no gradient of LibTorch's is recorded for. On a GPU by cuBLASLt, with
// 32 MiB of workspace and one algorithm for each shape; on a CPU by LibTorch (oneDNN).

/// a b: [m, n] of a [m, k] and b [k, n], one of whose strides is 1 each.
at::Tensor matrix_product(const at::Tensor& a, const at::Tensor& b);
/// The same into `result`, whose rows may have a stride.
void matrix_product_into(at::Tensor result, const at::Tensor& a, const at::Tensor& b);

}  // namespace radgpt
