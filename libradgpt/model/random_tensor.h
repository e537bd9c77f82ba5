#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace radgpt {

/// Names the random numbers of one tensor: no two tensors of a run have seed and number in common.
struct TensorSeed {
  uint64_t seed = 0;
  uint64_t number = 0;  ///< base: place in the file; then those below
};

/// First numbers of what is not part of the base.
inline constexpr uint64_t kAdapterTensors = uint64_t{1} << 32;
inline constexpr uint64_t kHeadTensors = uint64_t{1} << 33;

/// Fills a tensor [rows, columns] of any floating type and strides with normal numbers of mean 0.
/// Row r is a function of the seed and r alone, whatever the number of threads; the first of
/// `tensor` is row `first_row`.
void fill_normal(at::Tensor tensor, TensorSeed seed, double deviation, int64_t first_row = 0);

/// As fill_normal, uniform in [-bound, bound).
void fill_uniform(at::Tensor tensor, TensorSeed seed, double bound);

}  // namespace radgpt
