#include "kernels/segment_attention/attention_head_cpu.h"

#include <cmath>

#include "kernels/primitives/row_loops.h"
#include "kernels/primitives/tile_product.h"

namespace radgpt::kernels {

namespace {

/// Queries that share a pass over the keys: few, so that little is computed above the diagonal.
constexpr int64_t kQueryBlock = 32;

template <typename C>
void transpose_row(const C* row, int64_t n, int64_t stride, C* column) {
  for (int64_t i = 0; i < n; ++i) column[i * stride] = row[i];
}

}  // namespace

template <typename T>
AttentionHead<T>::AttentionHead(const AttentionProblem<T>& problem, int64_t most_keys, Pass pass)
    : problem_(problem),
      dim_(problem.head_dim),
      width_(round_up(dim_, kLanes<C>)),
      room_(round_up(most_keys, kLanes<C>)),
      key_positions_(room_),
      keys_transposed_(dim_ * room_),
      values_(room_ * width_),
      queries_(kQueryBlock * width_),
      scores_(kQueryBlock * room_),
      outputs_(kQueryBlock * width_) {
  if (pass == Pass::kForward) return;
  keys_.resize(room_ * width_);
  values_transposed_.resize(dim_ * room_);
  d_outputs_.resize(kQueryBlock * width_);
  d_scores_.resize(kQueryBlock * room_);
  d_keys_.resize(room_ * width_);
  d_values_.resize(room_ * width_);
}

template <typename T>
void AttentionHead<T>::load_keys(const Segment& segment, int64_t offset) {
  const bool backward = !keys_.empty();
  std::vector<C>& key = outputs_;  // free here
  for (int64_t i = 0; i < segment.length(); ++i) {
    const int64_t token = segment.begin + i, row = offset + i;
    key_positions_[row] = static_cast<C>(problem_.positions[token]);
    rotate_head(problem_.key(token, head_), dim_, problem_.rotation(token), key.data());
    transpose_row(key.data(), dim_, room_, keys_transposed_.data() + row);
    C* value = values_.data() + row * width_;
    widen_row(problem_.value(token, head_), dim_, value);
    if (!backward) continue;
    std::copy(key.begin(), key.begin() + dim_, keys_.begin() + row * width_);
    transpose_row(value, dim_, room_, values_transposed_.data() + row);
  }
}

template <typename T>
void AttentionHead<T>::score_block(const Segment& segment, int64_t first, int64_t rows,
                                   int64_t keys) {
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t token = segment.begin + first + r;
    rotate_head(problem_.query(token, head_), dim_, problem_.rotation(token),
                queries_.data() + r * width_);
  }
  tile_product<C>({rows, keys, dim_, queries_.data(), width_, 1, keys_transposed_.data(), room_,
                   scores_.data(), room_},
                  TileResult::kOverwrite);
}

template <typename T>
ScoreRow<Compute<T>> AttentionHead<T>::score_row(const Segment& segment, int64_t query, int64_t row,
                                                 int64_t keys, int64_t offset) {
  return {scores_.data() + row * room_,
          offset + query + 1,
          round_up(keys, kLanes<C>),
          key_positions_.data(),
          static_cast<C>(problem_.positions[segment.begin + query]),
          problem_.scale(),
          problem_.slope(head_)};
}

template <typename T>
void AttentionHead<T>::forward_segment(const Segment& segment, int64_t offset, T* out,
                                       C* log_sums) {
  load_keys(segment, offset);
  C sums[kQueryBlock];
  for (int64_t first = 0; first < segment.length(); first += kQueryBlock) {
    const int64_t rows = std::min<int64_t>(kQueryBlock, segment.length() - first);
    const int64_t keys = offset + first + rows;
    score_block(segment, first, rows, keys);
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t token = segment.begin + first + r;
      const C largest =
          exponentiate_scores(score_row(segment, first + r, r, keys, offset), &sums[r]);
      log_sums[head_ * problem_.tokens + token] = largest + std::log(sums[r]);
    }
    tile_product<C>({rows, dim_, keys, scores_.data(), room_, 1, values_.data(), width_,
                     outputs_.data(), width_},
                    TileResult::kOverwrite);
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t token = segment.begin + first + r;
      round_row(outputs_.data() + r * width_, dim_, out + token * problem_.hidden() + head_ * dim_,
                C{1} / sums[r]);
    }
  }
}

template <typename T>
void AttentionHead<T>::forward(const AttentionGroup& group, int64_t head, T* out, C* log_sums) {
  head_ = head;
  forward_segment(group.root, 0, out, log_sums);
  for (const Segment& branch : group.branches) {
    forward_segment(branch, group.root.length(), out, log_sums);
  }
}

template <typename T>
void AttentionHead<T>::gradient_block(const Segment& segment, int64_t first, int64_t rows,
                                      int64_t keys, T* d_qkv) {
  tile_product<C>(
      {rows, dim_, keys, d_scores_.data(), room_, 1, keys_.data(), width_, outputs_.data(), width_},
      TileResult::kOverwrite);
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t token = segment.begin + first + r;
    rotate_head_back(outputs_.data() + r * width_, dim_, problem_.rotation(token),
                     d_qkv + (problem_.query(token, head_) - problem_.qkv));
  }
  tile_product<C>({keys, dim_, rows, d_scores_.data(), 1, room_, queries_.data(), width_,
                   d_keys_.data(), width_},
                  TileResult::kAdd);
  tile_product<C>({keys, dim_, rows, scores_.data(), 1, room_, d_outputs_.data(), width_,
                   d_values_.data(), width_},
                  TileResult::kAdd);
}

template <typename T>
void AttentionHead<T>::backward_segment(const Segment& segment, int64_t offset, const T* d_out,
                                        const C* log_sums, T* d_qkv) {
  load_keys(segment, offset);
  const int64_t own = offset * width_, end = (offset + segment.length()) * width_;
  std::fill(d_keys_.begin() + own, d_keys_.begin() + end, C{0});
  std::fill(d_values_.begin() + own, d_values_.begin() + end, C{0});
  for (int64_t first = 0; first < segment.length(); first += kQueryBlock) {
    const int64_t rows = std::min<int64_t>(kQueryBlock, segment.length() - first);
    const int64_t keys = offset + first + rows;
    score_block(segment, first, rows, keys);
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t token = segment.begin + first + r;
      widen_row(d_out + token * problem_.hidden() + head_ * dim_, dim_,
                d_outputs_.data() + r * width_);
    }
    tile_product<C>({rows, keys, dim_, d_outputs_.data(), width_, 1, values_transposed_.data(),
                     room_, d_scores_.data(), room_},
                    TileResult::kOverwrite);
    for (int64_t r = 0; r < rows; ++r) {
      const ScoreRow<C> row = score_row(segment, first + r, r, keys, offset);
      score_probabilities(row, log_sums[head_ * problem_.tokens + segment.begin + first + r]);
      softmax_backward(row.values, row.count, row.width, row.scale, d_scores_.data() + r * room_);
    }
    gradient_block(segment, first, rows, keys, d_qkv);
  }
}

template <typename T>
void AttentionHead<T>::store_key_gradients(const Segment& segment, int64_t offset, T* d_qkv) {
  for (int64_t i = 0; i < segment.length(); ++i) {
    const int64_t token = segment.begin + i, at = (offset + i) * width_;
    rotate_head_back(d_keys_.data() + at, dim_, problem_.rotation(token),
                     d_qkv + (problem_.key(token, head_) - problem_.qkv));
    round_row(d_values_.data() + at, dim_, d_qkv + (problem_.value(token, head_) - problem_.qkv));
  }
}

template <typename T>
void AttentionHead<T>::backward(const AttentionGroup& group, int64_t head, const T* d_out,
                                const C* log_sums, T* d_qkv) {
  head_ = head;
  backward_segment(group.root, 0, d_out, log_sums, d_qkv);
  for (const Segment& branch : group.branches) {
    backward_segment(branch, group.root.length(), d_out, log_sums, d_qkv);
    store_key_gradients(branch, group.root.length(), d_qkv);
  }
  store_key_gradients(group.root, 0, d_qkv);
}

template class AttentionHead<float>;
template class AttentionHead<double>;
template class AttentionHead<BFloat16>;

}  // namespace radgpt::kernels
