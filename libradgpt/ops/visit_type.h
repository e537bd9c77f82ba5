#pragma once

#include <ATen/core/Tensor.h>

#include <type_traits>

#include "kernels/primitives/bfloat16.h"
#include "libradgpt/base/error.h"

namespace radgpt {

using kernels::Compute;

/// Calls f(T{}) with the type that kernels have for `type`; `who` names the op in the error for
/// other types.
template <typename F>
decltype(auto) visit_type(at::ScalarType type, const char* who, F&& f) {
  switch (type) {
    case at::kFloat:
      return f(float{});
    case at::kDouble:
      return f(double{});
    case at::kBFloat16:
      return f(kernels::BFloat16{});
    default:
      fail(ErrorKind::kInput, who, ": type must be float32, float64 or bfloat16, got ", type);
  }
}

/// What LibTorch calls the type that kernels add and multiply in, float or double.
template <typename C>
inline constexpr at::ScalarType kScalarType = c10::CppTypeToScalarType<C>::value;

/// The elements of a tensor of type T as kernels take them.
template <typename T>
const T* values_of(const at::Tensor& tensor) {
  if constexpr (std::is_same_v<T, kernels::BFloat16>) {
    return reinterpret_cast<const T*>(tensor.const_data_ptr<c10::BFloat16>());
  } else {
    return tensor.const_data_ptr<T>();
  }
}

template <typename T>
T* mutable_values_of(const at::Tensor& tensor) {
  if constexpr (std::is_same_v<T, kernels::BFloat16>) {
    return reinterpret_cast<T*>(tensor.mutable_data_ptr<c10::BFloat16>());
  } else {
    return tensor.mutable_data_ptr<T>();
  }
}

}  // namespace radgpt
