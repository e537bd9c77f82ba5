#pragma once

#include <array>
#include <compare>
#include <cstdint>

#include "kernels/gemm/gemm.h"
#include "kernels/primitives/checks.h"

namespace radgpt::kernels {

/// What the choice of an algorithm depends on.
struct GemmShape {
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  int64_t a_stride = 0;
  int64_t b_stride = 0;
  int64_t d_stride = 0;
  int64_t a_transposed = 0;  ///< 0 or 1
  int64_t b_transposed = 0;
  int64_t output_bytes = 2;  ///< of an element of d

  auto operator<=>(const GemmShape&) const = default;  // NOLINT(modernize-use-nullptr)
  /// All of the above in that order, for whatever reads or writes a shape.
  std::array<int64_t*, 9> fields() {
    return {&m,           &n, &k, &a_stride, &b_stride, &d_stride, &a_transposed, &b_transposed,
            &output_bytes};
  }
};

template <typename Out>
GemmShape shape_of(const Gemm<BFloat16, Out>& call) {
  return {.m = call.m,
          .n = call.n,
          .k = call.k,
          .a_stride = call.a.stride,
          .b_stride = call.b.stride,
          .d_stride = call.d_stride,
          .a_transposed = call.a.transpose == Transpose::kYes,
          .b_transposed = call.b.transpose == Transpose::kYes,
          .output_bytes = sizeof(Out)};
}

/// Throws Error kInput unless `call` is what DeviceGemm takes.
template <typename Out>
void check_gemm(const Gemm<BFloat16, Out>& call) {
  const char* who = "gemm";
  require(call.m >= 0 && call.n >= 0 && call.k >= 1, who,
          ": m and n must not be negative and k must be positive, got ", call.m, ", ", call.n,
          " and ", call.k);
  const auto check_matrix = [&](const char* name, const void* data, int64_t stride, int64_t columns,
                                int64_t element_bytes) {
    check_aligned(who, name, data);
    require(stride >= columns && stride * element_bytes % 16 == 0, who, ": the stride of ", name,
            " must be a multiple of 16 bytes and at least ", columns, " elements, got ", stride);
  };
  const bool a_transposed = call.a.transpose == Transpose::kYes;
  const bool b_transposed = call.b.transpose == Transpose::kYes;
  check_matrix("a", call.a.data, call.a.stride, a_transposed ? call.m : call.k, 2);
  check_matrix("b", call.b.data, call.b.stride, b_transposed ? call.k : call.n, 2);
  check_matrix("d", call.d, call.d_stride, call.n, sizeof(Out));
}

}  // namespace radgpt::kernels
