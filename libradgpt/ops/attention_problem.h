#pragma once

#include <ATen/core/Tensor.h>

#include "libradgpt/ops/attention_rows.h"
#include "libradgpt/ops/segment_attention.h"
#include "libradgpt/ops/visit_type.h"

namespace radgpt {

/// Attention over one qkv matrix, as the loops see it.
template <typename T>
struct AttentionProblem {
  const T* qkv = nullptr;
  const int64_t* positions = nullptr;
  int64_t tokens = 0;
  int64_t heads = 0;
  int64_t head_dim = 0;
  const float* cosines = nullptr;  ///< [positions, head_dim / 2] or null
  const float* sines = nullptr;
  const float* slopes = nullptr;  ///< [heads] or null

  /// The tensors, which must be contiguous and checked, outlive the result.
  AttentionProblem(const at::Tensor& qkv_tensor, const at::Tensor& position_tensor,
                   int64_t head_count, const PositionEncoding& encoding)
      : qkv(values_of<T>(qkv_tensor)),
        positions(position_tensor.const_data_ptr<int64_t>()),
        tokens(qkv_tensor.size(0)),
        heads(head_count),
        head_dim(qkv_tensor.size(1) / 3 / head_count) {
    if (encoding.cosines.defined()) {
      cosines = encoding.cosines.const_data_ptr<float>();
      sines = encoding.sines.const_data_ptr<float>();
    }
    if (encoding.slopes.defined()) slopes = encoding.slopes.const_data_ptr<float>();
  }

  int64_t hidden() const { return heads * head_dim; }
  const T* query(int64_t token, int64_t head) const {
    return qkv + token * 3 * hidden() + head * head_dim;
  }
  const T* key(int64_t token, int64_t head) const { return query(token, head) + hidden(); }
  const T* value(int64_t token, int64_t head) const { return key(token, head) + hidden(); }
  Rotation rotation(int64_t token) const {
    if (cosines == nullptr) return {};
    const int64_t at = positions[token] * (head_dim / 2);
    return {cosines + at, sines + at};
  }
  Compute<T> slope(int64_t head) const { return slopes == nullptr ? 0 : slopes[head]; }
  Compute<T> scale() const { return 1 / std::sqrt(static_cast<Compute<T>>(head_dim)); }
};

/// Throws Error unless qkv [tokens, 3 * heads * head_dim] and positions [tokens] int64 fit the
/// encoding.
void check_attention(const at::Tensor& qkv, const at::Tensor& positions, int64_t heads,
                     const PositionEncoding& encoding);

}  // namespace radgpt
