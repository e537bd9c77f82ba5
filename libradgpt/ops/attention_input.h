#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/segment_attention/segment_attention.h"
#include "libradgpt/ops/segment_attention.h"
#include "libradgpt/ops/visit_type.h"

namespace radgpt {

/// Throws Error unless qkv [tokens, 3 * heads * head_dim] and positions [tokens] int64 fit the
/// encoding.
void check_attention(const at::Tensor& qkv, const at::Tensor& positions, int64_t heads,
                     const PositionEncoding& encoding);

/// What the kernels read of tensors, which must be contiguous and checked and outlive the result.
template <typename T>
kernels::AttentionInput<T> attention_input(const at::Tensor& qkv, const at::Tensor& positions,
                                           int64_t heads, const PositionEncoding& encoding) {
  const auto or_null = [](const at::Tensor& table) {
    return table.defined() ? table.const_data_ptr<float>() : nullptr;
  };
  return {qkv.size(0),
          heads,
          qkv.size(1) / 3 / heads,
          values_of<T>(qkv),
          or_null(encoding.slopes),
          positions.const_data_ptr<int64_t>(),
          or_null(encoding.cosines),
          or_null(encoding.sines)};
}

}  // namespace radgpt
