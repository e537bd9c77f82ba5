#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/rope/rope.h"
#include "kernels/segment_attention/segment_attention.h"
#include "libradgpt/ops/segment_attention.h"
#include "libradgpt/ops/visit_type.h"

namespace radgpt {

/// Throws Error unless qkv [tokens, 3 * heads * head_dim] and positions [tokens] int64 fit the
/// encoding. On a GPU, which would have to be waited for, positions are the caller's promise.
void check_attention(const at::Tensor& qkv, const at::Tensor& positions, int64_t heads,
                     const PositionEncoding& encoding);

/// The operand of attention's kernels, which read it contiguous: a CPU rotates q and k while it
/// reads them, a GPU finds them rotated (RoPE).
struct AttentionOperand {
  at::Tensor qkv;
  at::Tensor positions;
  int64_t heads = 0;
  PositionEncoding encoding;
  bool rotated = false;  ///< q and k have been, so kernels shall not

  /// Rotates on a GPU: in place, since nothing else reads the values of qkv, unless qkv is a leaf
  /// of the autograd graph.
  static AttentionOperand of(const at::Tensor& qkv, const at::Tensor& positions, int64_t heads,
                             const PositionEncoding& encoding);

  /// What kernels read; the operand outlives it.
  template <typename T>
  kernels::AttentionInput<T> input() const {
    const auto or_null = [](const at::Tensor& table) {
      return table.defined() ? table.const_data_ptr<float>() : nullptr;
    };
    return {qkv.size(0),
            heads,
            qkv.size(1) / 3 / heads,
            values_of<T>(qkv),
            or_null(encoding.slopes),
            positions.const_data_ptr<int64_t>(),
            rotated ? nullptr : or_null(encoding.cosines),
            rotated ? nullptr : or_null(encoding.sines)};
  }
};

/// segment_attention of an operand; gradients go to `leaf`, from which it was made.
at::Tensor attend(const AttentionOperand& operand, const AttentionLayout& layout,
                  const at::Tensor& leaf);

/// Rotates q and k of qkv in place on a GPU, backward for gradients; nothing without RoPE.
void rotate_on_device(const at::Tensor& qkv, const AttentionOperand& operand,
                      kernels::RopeDirection direction);

}  // namespace radgpt
