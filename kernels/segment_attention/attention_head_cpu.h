#pragma once

#include <vector>

#include "kernels/segment_attention/attention_problem_cpu.h"

namespace radgpt::kernels {

/// Attention of one group of segments and one head at a time on one thread, over tiles in the type
/// of sums. Keys and values of the root are laid out once; each branch is put behind them, so that
/// a query sees prefix and own keys as one matrix.
template <typename T>
class AttentionHead {
  using C = Compute<T>;

 public:
  enum class Pass { kForward, kBackward };

  /// Scratch for groups of up to `most_keys` keys.
  AttentionHead(const AttentionProblem<T>& problem, int64_t most_keys, Pass pass);

  /// Writes the rows of the group and this head's columns of `out` [tokens, hidden], and log of the
  /// sum of exponentials into log_sums [heads, tokens].
  void forward(const AttentionGroup& group, int64_t head, T* out, C* log_sums);

  /// From d_out [tokens, hidden] writes this head's q, k and v columns of d_qkv [tokens, 3 hidden].
  /// Gradients of prefix keys and values are summed over root and branches in their order.
  void backward(const AttentionGroup& group, int64_t head, const T* d_out, const C* log_sums,
                T* d_qkv);

 private:
  /// Puts keys and values of the segment at rows [offset, offset + length) of the tiles.
  void load_keys(const Segment& segment, int64_t offset);
  void forward_segment(const Segment& segment, int64_t offset, T* out, C* log_sums);
  void backward_segment(const Segment& segment, int64_t offset, const T* d_out, const C* log_sums,
                        T* d_qkv);
  /// Queries [first, first + rows) of the segment: raw scores with keys [0, keys).
  void score_block(const Segment& segment, int64_t first, int64_t rows, int64_t keys);
  ScoreRow<C> score_row(const Segment& segment, int64_t query, int64_t row, int64_t keys,
                        int64_t offset);
  /// dQ of one block of queries, and its part of dK and dV.
  void gradient_block(const Segment& segment, int64_t first, int64_t rows, int64_t keys, T* d_qkv);
  void store_key_gradients(const Segment& segment, int64_t offset, T* d_qkv);

  const AttentionProblem<T>& problem_;
  int64_t head_ = 0;
  int64_t dim_;    ///< head_dim
  int64_t width_;  ///< head_dim in whole lanes: row stride of tiles of heads
  int64_t room_;   ///< keys in whole lanes: row stride of tiles of scores

  std::vector<C> key_positions_;    ///< [room]
  std::vector<C> keys_transposed_;  ///< [head_dim, room]
  std::vector<C> values_;           ///< [room, width]
  std::vector<C> queries_;          ///< [block, width]
  std::vector<C> scores_;           ///< [block, room], then probabilities
  std::vector<C> outputs_;          ///< [block, width]; in the backward pass dQ

  std::vector<C> keys_;               ///< [room, width]
  std::vector<C> values_transposed_;  ///< [head_dim, room]
  std::vector<C> d_outputs_;          ///< [block, width]
  std::vector<C> d_scores_;           ///< [block, room]
  std::vector<C> d_keys_;             ///< [room, width]
  std::vector<C> d_values_;           ///< [room, width]
};

}  // namespace radgpt::kernels
