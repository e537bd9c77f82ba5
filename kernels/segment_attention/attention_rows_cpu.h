#pragma once

#include <cstdint>

#include "kernels/primitives/bfloat16.h"

namespace radgpt::kernels {

// Loops over one row of attention scores or one head of one token, for T float, double, bfloat16
// and C float, double.

/// A row of scores: `count` keys stand at positions[0:count], the query at `position`.
template <typename C>
struct ScoreRow {
  C* values;           ///< q . k on entry; room for `width` elements
  int64_t count;       ///< keys that the query may see
  int64_t width;       ///< whole lanes; elements from `count` on are set to zero
  const C* positions;  ///< [width]
  C position;
  C scale;
  C slope;  ///< added: slope * (key position - query position)
};

/// Replaces values by exp(score - largest score), writes their sum and returns the largest score.
template <typename C>
C exponentiate_scores(const ScoreRow<C>& row, C* sum);

/// Replaces values by softmax probabilities exp(score - log_sum).
template <typename C>
void score_probabilities(const ScoreRow<C>& row, C log_sum);

/// Turns the gradient of probabilities into that of q . k: g = scale p (g - sum p g), zero from
/// `count` to `width`.
template <typename C>
void softmax_backward(const C* probabilities, int64_t count, int64_t width, C scale, C* gradient);

/// cos and sin of half a head's angles; null for no rotation.
struct Rotation {
  const float* cosines = nullptr;
  const float* sines = nullptr;
};

/// y = x rotated in the type of sums and rounded to T, as it would stand in a cache:
/// y[i] = x[i] cos - x[i + d/2] sin, y[i + d/2] = x[i + d/2] cos + x[i] sin.
template <typename T>
void rotate_head(const T* x, int64_t head_dim, const Rotation& rotation, Compute<T>* y);

/// The transposed rotation, for gradients.
template <typename T>
void rotate_head_back(const Compute<T>* x, int64_t head_dim, const Rotation& rotation, T* y);

/// sum_i x[i] y[i]
template <typename T>
Compute<T> dot_row(const Compute<T>* x, const T* y, int64_t n);

/// y += factor * x
template <typename T>
void add_scaled_row(const T* x, Compute<T> factor, int64_t n, Compute<T>* y);

}  // namespace radgpt::kernels
