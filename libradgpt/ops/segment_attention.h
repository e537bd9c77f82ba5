#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "libradgpt/base/pack.h"

namespace radgpt {

/// How attention knows positions.
struct PositionEncoding {
  /// RoPE: tables [max_length, head_dim / 2] fp32 of cos and sin; undefined for ALiBi.
  at::Tensor cosines;
  at::Tensor sines;
  /// ALiBi: [heads] fp32; undefined for RoPE.
  at::Tensor slopes;

  /// RoPE with base 10000: angle = position * 10000^(-2k / head_dim), in fp32.
  static PositionEncoding rope(int64_t head_dim, int64_t max_length);
  /// ALiBi with Baichuan2-13B's slopes: for h below the largest power of two n <= heads
  /// 2^(-8 (h + 1) / n), for the others every second slope of 2n heads.
  static PositionEncoding alibi(int64_t heads);
  /// The same tables on another device.
  PositionEncoding to(at::Device device) const;
};

/// Which tokens of a pack see which, for all layers of a forward pass: the segments, and the tiles
/// that a GPU visits. Copies share them.
class AttentionLayout {
 public:
  /// Throws Error(kInput) unless segments cover the tokens in order and prefixes have no prefix
  /// themselves.
  AttentionLayout(std::vector<Segment> segments, at::Device device = at::kCPU);

  const std::vector<Segment>& segments() const { return segments_; }
  const at::Tensor& tiles() const { return tiles_; }  ///< one a row, on the device

 private:
  std::vector<Segment> segments_;
  at::Tensor tiles_;
};

/// Softmax attention within segments and their prefixes (see Segment):
///
///   q, k, v = thirds of qkv, each head-major; RoPE: q and k rotated in fp32 (rotate-half)
///   o_i = sum_j softmax_j(q_i . k_j / sqrt(head_dim) + slope_h (position_j - position_i)) v_j
///
/// with scores, bias and softmax in fp32. One autograd node; keeps qkv and the row sums. Throws
/// Error(kInput) unless the layout is one of all tokens. On a GPU qkv is rotated in place, and kept
/// so, unless it is a leaf.
///
///   qkv        [tokens, 3 * hidden]
///   positions  [tokens] int64
///   result     [tokens, hidden]   type of qkv
at::Tensor segment_attention(const at::Tensor& qkv, const at::Tensor& positions,
                             const AttentionLayout& layout, int64_t heads,
                             const PositionEncoding& encoding);

}  // namespace radgpt
