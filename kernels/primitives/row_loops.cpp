#include "kernels/primitives/row_loops.h"

namespace radgpt::kernels {

template <typename T>
[[RADGPT_VECTOR_CLONES]] void widen_row(const T* x, int64_t n, Compute<T>* y) {
  using C = Compute<T>;
  for (int64_t i = 0; i < n; i += kLanes<C>) {
    Lanes<C> values;
    take(x + i, n - i, values);
    put(values, n - i, y + i);
  }
}

template <typename T>
[[RADGPT_VECTOR_CLONES]] void round_row(const Compute<T>* x, int64_t n, T* y, Compute<T> factor) {
  using C = Compute<T>;
  for (int64_t i = 0; i < n; i += kLanes<C>) {
    Lanes<C> values;
    take(x + i, n - i, values);
    put(values * factor, n - i, y + i);
  }
}

template <typename T>
[[RADGPT_VECTOR_CLONES]] void widen_kept_row(const T* x, const uint64_t* kept, int64_t n,
                                             Compute<T>* y) {
  using C = Compute<T>;
  for (int64_t i = 0; i < n; i += kLanes<C>) {
    Lanes<C> values;
    take(x + i, n - i, values);
    keep(kept[i / 64] >> (i % 64), values);
    put(values, n - i, y + i);
  }
}

template <typename C>
[[RADGPT_VECTOR_CLONES]] void add_row(const C* x, int64_t n, C* y, C factor) {
  for (int64_t i = 0; i < n; i += kLanes<C>) {
    Lanes<C> values, sum;
    take(x + i, n - i, values);
    take(y + i, n - i, sum);
    put(sum + values * factor, n - i, y + i);
  }
}

template <typename C>
[[RADGPT_VECTOR_CLONES]] void add_kept_row(const C* x, const uint64_t* kept, int64_t n, C* y,
                                           C factor) {
  for (int64_t i = 0; i < n; i += kLanes<C>) {
    Lanes<C> values, sum;
    take(x + i, n - i, values);
    keep(kept[i / 64] >> (i % 64), values);
    take(y + i, n - i, sum);
    put(sum + values * factor, n - i, y + i);
  }
}

template void widen_row(const float*, int64_t, float*);
template void widen_row(const double*, int64_t, double*);
template void widen_row(const BFloat16*, int64_t, float*);
template void round_row(const float*, int64_t, float*, float);
template void round_row(const double*, int64_t, double*, double);
template void round_row(const float*, int64_t, BFloat16*, float);
template void widen_kept_row(const float*, const uint64_t*, int64_t, float*);
template void widen_kept_row(const double*, const uint64_t*, int64_t, double*);
template void widen_kept_row(const BFloat16*, const uint64_t*, int64_t, float*);
template void add_row(const float*, int64_t, float*, float);
template void add_row(const double*, int64_t, double*, double);
template void add_kept_row(const float*, const uint64_t*, int64_t, float*, float);
template void add_kept_row(const double*, const uint64_t*, int64_t, double*, double);

}  // namespace radgpt::kernels
