#include "libradgpt/ops/bordered_product.h"

#include <ATen/ops/mm.h>

#include "kernels/primitives/adapter_inputs.h"
#include "libradgpt/base/error.h"
#include "libradgpt/ops/bordered_rows.h"
#include "libradgpt/ops/matrix_product.h"

namespace radgpt {

namespace {

constexpr int64_t kBorderStep = 16;

}  // namespace

int64_t used_border(const BorderedWeight& weight) {
  if (weight.pairs.empty()) return 0;
  int64_t used = 0;
  for (const LoraPair& pair : weight.pairs) used = std::max(used, pair.column + pair.rank());
  return std::min((used + kBorderStep - 1) / kBorderStep * kBorderStep, weight.border());
}

void check_bordered_product(const BorderedProduct& product) {
  const BorderedWeight& weight = product.weight;
  require(product.input.columns() == weight.in_features && weight.border() >= 0 &&
              weight.storage.scalar_type() == product.input.source.scalar_type(),
          "lora_linear: weight takes ", weight.in_features, " columns of ",
          weight.storage.scalar_type(), ", got ", product.input.columns(), " of ",
          product.input.source.scalar_type());
  const at::Device device = product.input.source.device();
  require(weight.storage.device() == device, "lora_linear: weight must be on ", device,
          " as x is, got ", weight.storage.device());
  require(weight.pairs.size() <= kernels::kMostAdapters, "lora_linear: a weight has at most ",
          kernels::kMostAdapters, " pairs, got ", weight.pairs.size());
  for (const LoraPair& pair : weight.pairs) {
    require(pair.a.dim() == 2 && pair.a.size(1) == weight.in_features && pair.column >= 0 &&
                pair.column + pair.rank() <= weight.border() && pair.row_begin >= 0 &&
                pair.row_begin < pair.row_end && pair.row_end <= weight.out_features(),
            "lora_linear: pair of A ", pair.a.sizes(), " at rows [", pair.row_begin, ", ",
            pair.row_end, "), border column ", pair.column, " does not fit a weight [",
            weight.out_features(), ", ", weight.in_features, "] with ", weight.border(),
            " border columns");
    require(pair.a.device() == device, "lora_linear: A must be on ", device, " as x is, got ",
            pair.a.device());
    require(
        pair.a.scalar_type() == weight.storage.scalar_type() &&
            pair.a_master.sizes() == pair.a.sizes() &&
            pair.b_master.sizes() == at::IntArrayRef({pair.row_end - pair.row_begin, pair.rank()}),
        "lora_linear: A and B must have the same rank, got A ", pair.a.sizes(), ", its master ",
        pair.a_master.sizes(), " and B ", pair.b_master.sizes());
  }
}

at::Tensor bordered_forward(BorderedProduct& product) {
  const InputSource& input = product.input;
  const BorderedWeight& weight = product.weight;
  const int64_t columns = weight.in_features;
  if (weight.pairs.empty() && input.kind == InputKind::kPlain) {
    return matrix_product(input.source, weight.weight().t());
  }
  const at::Tensor x_hat = write_bordered_input(product);
  if (!weight.pairs.empty()) {
    product.border = x_hat.narrow(1, columns, x_hat.size(1) - columns).contiguous();
  }
  return matrix_product(x_hat, weight.storage.narrow(1, 0, x_hat.size(1)).t());
}

ProductGradients bordered_backward(const BorderedProduct& product, const at::Tensor& dy,
                                   const at::Tensor& sum_gradient, const ProductNeeds& needs) {
  const InputSource& input = product.input;
  const BorderedWeight& weight = product.weight;
  const at::Tensor gradient = dy.contiguous();
  const bool adapters = needs.adapters && !weight.pairs.empty();
  const bool source = needs.source || needs.norm;
  OutputGradients output;
  if (adapters || (source && !weight.pairs.empty())) output = output_gradients(product, gradient);
  ProductGradients result;
  if (source || adapters) {
    const at::Tensor dx0 = source ? matrix_product(gradient, weight.weight()) : at::Tensor();
    result = input_gradients(product, dx0, output.ds, sum_gradient, needs);
  }
  if (adapters) result.b = std::move(output.b);
  if (needs.weight) {
    BorderedProduct bare = product;
    bare.weight.pairs.clear();
    const at::Tensor x =
        input.kind == InputKind::kPlain ? input.source : write_bordered_input(bare);
    result.weight = at::mm(gradient.t(), x);
  }
  return result;
}

}  // namespace radgpt
