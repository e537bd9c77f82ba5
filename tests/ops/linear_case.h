#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "libradgpt/ops/lora_linear.h"

namespace radgpt {

struct PairShape {
  int64_t rank = 4;
  int64_t row_begin = 0;
  int64_t row_end = 0;
  double dropout = 0.0;
};

/// A bordered weight and its leaves. Values are multiples of 2^-6 below 2 in magnitude, so that
/// they are the same in every type, and scales are powers of two.
struct LinearCase {
  at::Tensor x;           ///< [rows, in] leaf of the type under test
  NormWeight norm;        ///< weight near one; master is a leaf
  BorderedWeight weight;  ///< master is a leaf; unset it for a frozen weight
  DropoutKey key{7, 11, 3, true};

  LinearCase(int64_t rows, int64_t in, int64_t out, const std::vector<PairShape>& pairs,
             at::ScalarType type);

  /// Writes weight, norm weight, A and border from the masters, as ParameterStore::publish does.
  void publish();
  /// x, norm.master, weight.master and the pairs' masters.
  std::vector<at::Tensor> leaves() const;
  /// The same values as leaves of double.
  LinearCase in_double() const;
};

/// Values as described above, from a counter.
at::Tensor short_values(at::IntArrayRef shape, uint64_t seed, at::ScalarType type);

}  // namespace radgpt
