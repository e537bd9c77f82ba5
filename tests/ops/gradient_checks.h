#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace radgpt {

/// Sum of y times fixed pseudo-random weights: a loss whose gradient with respect to y is known and
/// has no structure.
at::Tensor weighted_sum(const at::Tensor& y);

/// Gradients of `loss` with respect to `leaves`; zeros where a leaf takes no part.
std::vector<at::Tensor> gradients_of(const at::Tensor& loss, const std::vector<at::Tensor>& leaves);

/// Checks gradients of `loss()` against central differences with step 1e-6. Leaves are double and
/// are changed in place, element by element; `loss` reads them anew each time.
///
/// A difference of two values of size f is off by about 1e-16 f / 1e-6 and by the step squared
/// times a third derivative: 1e-8 of the sizes in play covers both.
void expect_difference_gradients(const std::function<at::Tensor()>& loss,
                                 const std::vector<at::Tensor>& leaves);

/// |actual - expected| <= relative * |expected| in the 2-norm.
void expect_close(const at::Tensor& actual, const at::Tensor& expected, double relative);

/// Passes if `fused` is at most twice as far from the double-precision result as `naive`, the same
/// formula written plainly in the same data type (2-norm). So the tolerance follows from the data
/// type and the sizes; nobody tunes it. Where `naive` is exact, one rounding of `fused` is allowed.
void expect_as_accurate_as(const at::Tensor& naive, const at::Tensor& fused,
                           const at::Tensor& exact);

/// While alive, memory that LibTorch hands out uninitialised is NaN: what a kernel forgets to write
/// shows.
class PoisonedMemory {
 public:
  PoisonedMemory();
  ~PoisonedMemory();
};

}  // namespace radgpt
