#include "kernels/segment_attention/attention_rows_cpu.h"

#include <limits>
#include <type_traits>

#include "kernels/primitives/lanes.h"

namespace radgpt::kernels {

namespace {

/// scale * (q . k) + bias of the next lanes, -infinity where no key is.
template <typename C>
[[gnu::always_inline]] inline void take_scores(const ScoreRow<C>& row, int64_t i, Lanes<C>& score) {
  Lanes<C> positions;
  take(row.values + i, kLanes<C>, score);
  take(row.positions + i, kLanes<C>, positions);
  score = score * row.scale + (positions - row.position) * row.slope;
  for (int64_t lane = std::max<int64_t>(row.count - i, 0); lane < kLanes<C>; ++lane) {
    score[lane] = -std::numeric_limits<C>::infinity();
  }
}

template <typename C>
[[gnu::always_inline]] inline void take_angles(const Rotation& rotation, int64_t i, int64_t left,
                                               Lanes<C>& cosines, Lanes<C>& sines) {
  if constexpr (std::is_same_v<C, float>) {
    take(rotation.cosines + i, left, cosines);
    take(rotation.sines + i, left, sines);
  } else {
    for (int64_t lane = 0; lane < std::min(left, kLanes<C>); ++lane) {
      cosines[lane] = rotation.cosines[i + lane];
      sines[lane] = rotation.sines[i + lane];
    }
  }
}

}  // namespace

template <typename C>
[[RADGPT_VECTOR_CLONES]] C exponentiate_scores(const ScoreRow<C>& row, C* sum) {
  Lanes<C> largest = Lanes<C>{} - std::numeric_limits<C>::infinity();
  for (int64_t i = 0; i < row.count; i += kLanes<C>) {
    Lanes<C> score;
    take_scores(row, i, score);
    put(score, kLanes<C>, row.values + i);
    largest = score > largest ? score : largest;
  }
  const C shift = max_of<C>(largest);
  Lanes<C> sums{};
  int64_t i = 0;
  for (; i < row.count; i += kLanes<C>) {
    Lanes<C> values;
    take(row.values + i, kLanes<C>, values);
    values -= shift;
    exponentiate(values);
    sums += values;
    put(values, kLanes<C>, row.values + i);
  }
  std::fill(row.values + i, row.values + std::max(i, row.width), C{0});
  *sum = sum_of<C>(sums);
  return shift;
}

template <typename C>
[[RADGPT_VECTOR_CLONES]] void score_probabilities(const ScoreRow<C>& row, C log_sum) {
  int64_t i = 0;
  for (; i < row.count; i += kLanes<C>) {
    Lanes<C> values;
    take_scores(row, i, values);
    values -= log_sum;
    exponentiate(values);
    put(values, kLanes<C>, row.values + i);
  }
  std::fill(row.values + i, row.values + std::max(i, row.width), C{0});
}

template <typename C>
[[RADGPT_VECTOR_CLONES]] void softmax_backward(const C* probabilities, int64_t count, int64_t width,
                                               C scale, C* gradient) {
  Lanes<C> sums{};
  for (int64_t i = 0; i < count; i += kLanes<C>) {
    Lanes<C> p, g;
    take(probabilities + i, count - i, p);
    take(gradient + i, count - i, g);
    sums += p * g;
  }
  const C mean = sum_of<C>(sums);
  int64_t i = 0;
  for (; i < count; i += kLanes<C>) {
    Lanes<C> p, g;
    take(probabilities + i, count - i, p);
    take(gradient + i, count - i, g);
    put(p * (g - mean) * scale, kLanes<C>, gradient + i);
  }
  std::fill(gradient + i, gradient + std::max(i, width), C{0});
}

template <typename T>
[[RADGPT_VECTOR_CLONES]] void rotate_head(const T* x, int64_t head_dim, const Rotation& rotation,
                                          Compute<T>* y) {
  using C = Compute<T>;
  if (rotation.cosines == nullptr) {
    for (int64_t i = 0; i < head_dim; i += kLanes<C>) {
      Lanes<C> values;
      take(x + i, head_dim - i, values);
      put(values, head_dim - i, y + i);
    }
    return;
  }
  const int64_t half = head_dim / 2;
  for (int64_t i = 0; i < half; i += kLanes<C>) {
    const int64_t left = half - i;
    Lanes<C> lower, upper, cosines{}, sines{};
    take(x + i, left, lower);
    take(x + half + i, left, upper);
    take_angles<C>(rotation, i, left, cosines, sines);
    Lanes<C> first = lower * cosines - upper * sines, second = upper * cosines + lower * sines;
    round_to<T>(first);
    round_to<T>(second);
    put(first, left, y + i);
    put(second, left, y + half + i);
  }
}

template <typename T>
[[RADGPT_VECTOR_CLONES]] void rotate_head_back(const Compute<T>* x, int64_t head_dim,
                                               const Rotation& rotation, T* y) {
  using C = Compute<T>;
  if (rotation.cosines == nullptr) {
    for (int64_t i = 0; i < head_dim; i += kLanes<C>) {
      Lanes<C> values;
      take(x + i, head_dim - i, values);
      put(values, head_dim - i, y + i);
    }
    return;
  }
  const int64_t half = head_dim / 2;
  for (int64_t i = 0; i < half; i += kLanes<C>) {
    const int64_t left = half - i;
    Lanes<C> lower, upper, cosines{}, sines{};
    take(x + i, left, lower);
    take(x + half + i, left, upper);
    take_angles<C>(rotation, i, left, cosines, sines);
    put(lower * cosines + upper * sines, left, y + i);
    put(upper * cosines - lower * sines, left, y + half + i);
  }
}

template <typename T>
[[RADGPT_VECTOR_CLONES]] Compute<T> dot_row(const Compute<T>* x, const T* y, int64_t n) {
  using C = Compute<T>;
  Lanes<C> sums{};
  for (int64_t i = 0; i < n; i += kLanes<C>) {
    Lanes<C> left, right;
    take(x + i, n - i, left);
    take(y + i, n - i, right);
    sums += left * right;
  }
  return sum_of<C>(sums);
}

template <typename T>
[[RADGPT_VECTOR_CLONES]] void add_scaled_row(const T* x, Compute<T> factor, int64_t n,
                                             Compute<T>* y) {
  using C = Compute<T>;
  for (int64_t i = 0; i < n; i += kLanes<C>) {
    Lanes<C> values, sum;
    take(x + i, n - i, values);
    take(y + i, n - i, sum);
    put(sum + values * factor, n - i, y + i);
  }
}

template float exponentiate_scores(const ScoreRow<float>&, float*);
template double exponentiate_scores(const ScoreRow<double>&, double*);
template void score_probabilities(const ScoreRow<float>&, float);
template void score_probabilities(const ScoreRow<double>&, double);
template void softmax_backward(const float*, int64_t, int64_t, float, float*);
template void softmax_backward(const double*, int64_t, int64_t, double, double*);
template void rotate_head(const float*, int64_t, const Rotation&, float*);
template void rotate_head(const double*, int64_t, const Rotation&, double*);
template void rotate_head(const BFloat16*, int64_t, const Rotation&, float*);
template void rotate_head_back(const float*, int64_t, const Rotation&, float*);
template void rotate_head_back(const double*, int64_t, const Rotation&, double*);
template void rotate_head_back(const float*, int64_t, const Rotation&, BFloat16*);
template float dot_row(const float*, const float*, int64_t);
template double dot_row(const double*, const double*, int64_t);
template float dot_row(const float*, const BFloat16*, int64_t);
template void add_scaled_row(const float*, float, int64_t, float*);
template void add_scaled_row(const double*, double, int64_t, double*);
template void add_scaled_row(const BFloat16*, float, int64_t, float*);

}  // namespace radgpt::kernels
