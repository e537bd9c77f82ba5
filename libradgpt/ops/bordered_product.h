#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "libradgpt/ops/input_source.h"
#include "libradgpt/ops/lora_pair.h"

namespace radgpt {

/// One linear layer at work: what its autograd node keeps between forward and backward pass.
struct BorderedProduct {
  InputSource input;
  BorderedWeight weight;
  DropoutKey key;
  /// [rows, used border columns] S of the forward pass; undefined without pairs.
  at::Tensor border;
};

/// Which gradients are wanted.
struct ProductNeeds {
  bool source = false;
  bool norm = false;
  bool adapters = false;
  bool weight = false;
};

/// Undefined where not wanted. `source` has the type of the source, the others those of the leaves.
struct ProductGradients {
  at::Tensor source;
  at::Tensor norm;
  std::vector<at::Tensor> a;  ///< per pair, [rank, in]
  std::vector<at::Tensor> b;  ///< per pair, [rows of the pair, rank]
  at::Tensor weight;
};

/// Border columns that take part in the product: those of the pairs, rounded up to 16.
int64_t used_border(const BorderedWeight& weight);

/// Throws Error unless shapes and types of weight, pairs and input fit together, with no more
/// pairs than the kernels take.
void check_bordered_product(const BorderedProduct& product);

/// y = [X | S] [W | scale B]^T; sets product.border.
at::Tensor bordered_forward(BorderedProduct& product);

/// With dS = dy (scale B):
///
///   dX = dy W + sum over pairs of mask (dS A) / (1 - dropout)     dA = dS^T dropout(X)
///   dW = dy^T X                                                   dB = scale dy^T S
///
/// dX passes through the norm or SwiGLU to the source, where `sum_gradient` joins it: the gradient
/// that the source itself has from elsewhere, undefined but for a normed one.
ProductGradients bordered_backward(const BorderedProduct& product, const at::Tensor& dy,
                                   const at::Tensor& sum_gradient, const ProductNeeds& needs);

}  // namespace radgpt
