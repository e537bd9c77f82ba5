#pragma once

#include <cmath>

#include "kernels/segment_attention/attention_rows_cpu.h"
#include "kernels/segment_attention/segment_attention.h"

namespace radgpt::kernels {

/// Attention over one qkv matrix, as the loops see it.
template <typename T>
struct AttentionProblem : AttentionInput<T> {
  using Input = AttentionInput<T>;
  using Input::cosines, Input::sines, Input::slopes, Input::positions;
  using Input::qkv, Input::heads, Input::head_dim;

  explicit AttentionProblem(const Input& input) : Input(input) {}

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

}  // namespace radgpt::kernels
