#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/primitives/bfloat16.h"
#include "kernels/primitives/stream.h"
#include "kernels/primitives/workers.h"
#include "kernels/segment_attention/attention_tiles.h"

namespace radgpt::kernels {

inline constexpr int64_t kMostHeadDim = 128;  ///< on a GPU

/// Queries, keys and values of a pack, and how attention knows positions.
template <typename T>
struct AttentionInput {
  int64_t tokens = 0;
  int64_t heads = 0;
  int64_t head_dim = 0;
  const T* qkv = nullptr;              ///< [tokens, 3 heads head_dim]: q, k and v, each head-major
  const float* slopes = nullptr;       ///< ALiBi: [heads]; null for none
  const int64_t* positions = nullptr;  ///< [tokens]; a GPU needs them with slopes only
  /// RoPE: [positions, head_dim / 2] cos and sin of the angles, null for none. Only the CPU, which
  /// rotates q and k while it reads them and their gradients back. On the device they come rotated
  /// (rope.h), and the gradients returned are those of rotated q and k.
  const float* cosines = nullptr;
  const float* sines = nullptr;
};

/// Softmax attention within segments and their prefixes (libradgpt/base/pack.h), for each head h:
///
///   score_ij = q_i . k_j / sqrt(head_dim) + slope_h (position_j - position_i)       in Compute<T>
///   o_i      = sum_j softmax_j(score_ij) v_j
///
/// over the keys j of i's prefix and those of its own segment up to itself.
template <typename T>
struct SegmentAttentionForward {
  AttentionInput<T> input;
  T* out = nullptr;                ///< [tokens, heads head_dim]
  Compute<T>* log_sums = nullptr;  ///< [heads, tokens] log sum_j exp(score_ij), for backward
};

/// For T float, double, BFloat16 and any head_dim (even for RoPE). `groups` are those of the pack.
template <typename T>
void segment_attention_forward_cpu(const SegmentAttentionForward<T>& call,
                                   const std::vector<AttentionGroup>& groups,
                                   const Workers& workers);

/// On device memory, the `tile_count` tiles of the pack too; enqueues on `stream` and does not
/// wait. head_dim is a multiple of 8 up to kMostHeadDim, arrays of bfloat16 and the tiles are
/// aligned to 16 bytes, the others to their elements. Throws Error kInput otherwise, kEnvironment
/// when the launch fails. Bitwise repeatable.
void segment_attention_forward_cuda(const SegmentAttentionForward<BFloat16>& call,
                                    const AttentionTile* tiles, int64_t tile_count, Stream stream);

/// From dO, with p_ij = exp(score_ij - log_sum_i):
///
///   dS_ij = p_ij (dO_i . v_j - dO_i . o_i)
///   dQ_i  = sum_j dS_ij k_j / sqrt(head_dim)      dK_j = sum_i dS_ij q_i / sqrt(head_dim)
///   dV_j  = sum_i p_ij dO_i
///
/// Gradients of prefix keys and values are summed over root and branches in their order.
template <typename T>
struct SegmentAttentionBackward {
  AttentionInput<T> input;
  const Compute<T>* log_sums = nullptr;  ///< [heads, tokens] of the forward pass
  const T* out = nullptr;                ///< [tokens, heads head_dim]; only the GPU reads it
  const T* d_out = nullptr;              ///< [tokens, heads head_dim]
  T* d_qkv = nullptr;                    ///< [tokens, 3 heads head_dim]; not qkv itself
};

/// As segment_attention_forward_cpu. Sums in an order that the number of workers does not change.
template <typename T>
void segment_attention_backward_cpu(const SegmentAttentionBackward<T>& call,
                                    const std::vector<AttentionGroup>& groups,
                                    const Workers& workers);

/// As segment_attention_forward_cuda. Bitwise repeatable: sums are taken in a fixed order, without
/// atomics.
void segment_attention_backward_cuda(const SegmentAttentionBackward<BFloat16>& call,
                                     const AttentionTile* tiles, int64_t tile_count,
                                     Workspace workspace, Stream stream);
/// Bytes of workspace that segment_attention_backward_cuda needs for a call.
size_t segment_attention_backward_workspace(const SegmentAttentionBackward<BFloat16>& call);

}  // namespace radgpt::kernels
