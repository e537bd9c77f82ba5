#pragma once

#include <cstdint>

#include "kernels/primitives/bfloat16.h"
#include "kernels/primitives/stream.h"
#include "kernels/primitives/workers.h"

namespace radgpt::kernels {

/// Which way heads are turned.
enum class RopeDirection {
  kForward,
  kBackward  ///< by the negative angle: the transpose, for gradients
};

/// Rotary position encoding of queries and keys, in place, rotate-half. For each head x of q and k,
/// with d = head_dim and the angles of the token's position:
///
///   x[i]         = x[i] cos[i] - x[i + d/2] sin[i]           i < d/2
///   x[i + d/2]   = x[i + d/2] cos[i] + x[i] sin[i]
///
/// in Compute<T>, rounded once; backward with -sin. v is not touched.
template <typename T>
struct Rope {
  int64_t tokens = 0;
  int64_t heads = 0;
  int64_t head_dim = 0;                ///< even
  T* qkv = nullptr;                    ///< [tokens, 3 heads head_dim]: q, k, v, each head by head
  int64_t stride = 0;                  ///< between tokens
  const int64_t* positions = nullptr;  ///< [tokens], each with a row in the tables
  const float* cosines = nullptr;      ///< [positions, head_dim / 2]
  const float* sines = nullptr;        ///< [positions, head_dim / 2]
  RopeDirection direction = RopeDirection::kForward;
};

/// For T float, double, BFloat16.
template <typename T>
void rope_cpu(const Rope<T>& call, const Workers& workers);

/// On device memory; enqueues on `stream` and does not wait. head_dim and stride are multiples of 8
/// and all arrays 16-byte aligned. Throws Error kInput otherwise, kEnvironment when the launch
/// fails.
void rope_cuda(const Rope<BFloat16>& call, Stream stream);

}  // namespace radgpt::kernels
