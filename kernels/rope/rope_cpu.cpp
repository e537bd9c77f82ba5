#include <algorithm>
#include <type_traits>

#include "kernels/primitives/lanes.h"
#include "kernels/rope/rope.h"

namespace radgpt::kernels {

namespace {

template <typename C>
[[gnu::always_inline]] inline void take_angles(const float* from, int64_t left, Lanes<C>& to) {
  if constexpr (std::is_same_v<C, float>) {
    take(from, left, to);
  } else {
    to = Lanes<C>{};
    for (int64_t lane = 0; lane < std::min(left, kLanes<C>); ++lane) to[lane] = from[lane];
  }
}

/// One head; `sign` times the sines.
template <typename T>
[[RADGPT_VECTOR_CLONES]] void rotate(const float* cosine_row, const float* sine_row,
                                     Compute<T> sign, int64_t half, T* x) {
  using C = Compute<T>;
  for (int64_t i = 0; i < half; i += kLanes<C>) {
    const int64_t left = half - i;
    Lanes<C> lower, upper, cosines, sines;
    take(x + i, left, lower);
    take(x + half + i, left, upper);
    take_angles<C>(cosine_row + i, left, cosines);
    take_angles<C>(sine_row + i, left, sines);
    sines *= sign;
    put(lower * cosines - upper * sines, left, x + i);
    put(upper * cosines + lower * sines, left, x + half + i);
  }
}

}  // namespace

template <typename T>
void rope_cpu(const Rope<T>& call, const Workers& workers) {
  const int64_t half = call.head_dim / 2;
  const Compute<T> sign = call.direction == RopeDirection::kForward ? 1 : -1;
  workers.run(call.tokens, [&](int64_t begin, int64_t end) {
    for (int64_t token = begin; token < end; ++token) {
      const int64_t angles = call.positions[token] * half;
      for (int64_t head = 0; head < 2 * call.heads; ++head) {  // q, then k
        rotate(call.cosines + angles, call.sines + angles, sign, half,
               call.qkv + token * call.stride + head * call.head_dim);
      }
    }
  });
}

template void rope_cpu(const Rope<float>&, const Workers&);
template void rope_cpu(const Rope<double>&, const Workers&);
template void rope_cpu(const Rope<BFloat16>&, const Workers&);

}  // namespace radgpt::kernels
