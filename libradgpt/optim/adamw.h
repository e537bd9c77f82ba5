#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "libradgpt/ops/parameter_store.h"

namespace radgpt {

/// The numbers of AdamW that stay the same in a run.
struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  /// Decoupled; applied to matrices only (norm weights keep their size).
  double weight_decay = 0.0;
};

/// AdamW (Loshchilov & Hutter, arXiv 1711.05101) over the flat buffer of a ParameterStore, in one
/// pass, element by element: independent of thread count.
///
///   m = beta1 m + (1 - beta1) g        v = beta2 v + (1 - beta2) g^2
///   w = w (1 - rate * decay) - rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
///
/// with g = gradient * gradient_scale. The moments are part of a checkpoint; t is the number of
/// updates made.
class AdamW {
 public:
  /// Moments of 0. The store is allocated and outlives this; memory: twice its masters.
  AdamW(ParameterStore& store, const AdamWOptions& options);

  /// Updates the masters by the store's flat_gradient(), and all tensors bound to them. The
  /// gradient stays: zero it before the next backward pass adds to it.
  void step(double learning_rate, double gradient_scale);

  const at::Tensor& first_moment() const { return first_moment_; }    ///< [numel] fp32
  const at::Tensor& second_moment() const { return second_moment_; }  ///< [numel] fp32
  /// Number of updates made, t of the formula.
  int64_t updates() const { return updates_; }
  /// Goes on as if these had been reached by step().
  void restore(const at::Tensor& first_moment, const at::Tensor& second_moment, int64_t updates);

 private:
  ParameterStore& store_;
  AdamWOptions options_;
  at::Tensor first_moment_;
  at::Tensor second_moment_;
  int64_t updates_ = 0;
};

/// 2-norm of a contiguous fp32 buffer, summed in double in an order that does not depend on the
/// number of threads. NaN or infinity if any element is.
double gradient_norm(const at::Tensor& flat_gradient);

}  // namespace radgpt
