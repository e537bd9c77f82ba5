#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/primitives/lanes.h"
#include "kernels/primitives/row_loops.h"

namespace radgpt::kernels {

namespace {

/// Logits of one row become exp(logit - largest) in `exponentials` (whole lanes). Returns the log
/// of the sum of exp(logit).
template <typename T>
[[RADGPT_VECTOR_CLONES]] Compute<T> log_sum_exp(const T* logits, int64_t n,
                                                Compute<T>* exponentials, Compute<T>* sum) {
  using C = Compute<T>;
  Lanes<C> largest = Lanes<C>{} - std::numeric_limits<C>::infinity();
  int64_t i = 0;
  for (; i + kLanes<C> <= n; i += kLanes<C>) {
    Lanes<C> values;
    take(logits + i, kLanes<C>, values);
    largest = values > largest ? values : largest;
  }
  C shift = max_of<C>(largest);
  for (; i < n; ++i) shift = std::max(shift, static_cast<C>(logits[i]));
  Lanes<C> sums{};
  for (i = 0; i < n; i += kLanes<C>) {
    Lanes<C> values;
    take(logits + i, n - i, values);
    for (int64_t lane = n - i; lane < kLanes<C>; ++lane) {
      values[lane] = -std::numeric_limits<C>::infinity();
    }
    values -= shift;
    exponentiate(values);
    sums += values;
    put(values, kLanes<C>, exponentials + i);
  }
  *sum = sum_of<C>(sums);
  return shift + std::log(*sum);
}

template <typename T>
void cross_entropy_row(const CrossEntropy<T>& call, int64_t row, Compute<T>* exponentials) {
  using C = Compute<T>;
  T* logits = call.logits + row * call.stride;
  const int64_t target = call.targets[row];
  C sum = 0;
  const C log_sum = log_sum_exp(logits, call.vocabulary, exponentials, &sum);
  call.log_probabilities[row] = static_cast<C>(logits[target]) - log_sum;
  if (call.factors == nullptr) return;
  const C factor = call.factors[row], share = factor / sum;
  round_row(exponentials, call.vocabulary, logits, share);
  logits[target] = static_cast<T>(exponentials[target] * share - factor);
}

}  // namespace

template <typename T>
void cross_entropy_cpu(const CrossEntropy<T>& call, const Workers& workers) {
  using C = Compute<T>;
  workers.run(call.rows, [&](int64_t begin, int64_t end) {
    std::vector<C> exponentials(round_up(call.vocabulary, kLanes<C>));
    for (int64_t row = begin; row < end; ++row) cross_entropy_row(call, row, exponentials.data());
  });
}

template void cross_entropy_cpu(const CrossEntropy<float>&, const Workers&);
template void cross_entropy_cpu(const CrossEntropy<double>&, const Workers&);
template void cross_entropy_cpu(const CrossEntropy<BFloat16>&, const Workers&);

}  // namespace radgpt::kernels
