#include "libradgpt/ops/lora_linear.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/ones.h>

#include "libradgpt/base/error.h"
#include "libradgpt/ops/bordered_product.h"
#include "libradgpt/ops/bordered_rows.h"
#include "libradgpt/ops/composite_node.h"
#include "libradgpt/ops/matrix_product.h"

namespace radgpt {

namespace {

/// In the order of LoraLinearNode's gradients.
std::vector<at::Tensor> inputs_of(const at::Tensor& source, const at::Tensor& branch,
                                  const BorderedProduct& product) {
  std::vector<at::Tensor> inputs = {source, branch, product.input.norm.master,
                                    product.weight.master};
  for (const LoraPair& pair : product.weight.pairs) {
    inputs.push_back(pair.a_master);
    inputs.push_back(pair.b_master);
  }
  return inputs;
}

constexpr size_t kSourceSlot = 0;
constexpr size_t kBranchSlot = 1;
constexpr size_t kNormSlot = 2;
constexpr size_t kWeightSlot = 3;
constexpr size_t kFirstPairSlot = 4;

at::Tensor as_leaf(const at::Tensor& gradient, const at::Tensor& leaf) {
  return gradient.to(leaf.scalar_type());
}

/// Of the product, and of the sum before its norm where that is in the graph.
class LoraLinearNode : public CompositeNode {
 public:
  explicit LoraLinearNode(BorderedProduct product) : product_(std::move(product)) {
    keep(product_.input.source);
  }
  std::string name() const override { return "LoraLinear"; }

 private:
  std::vector<at::Tensor> backward(const std::vector<at::Tensor>& outputs) override {
    const std::vector<LoraPair>& pairs = product_.weight.pairs;
    const at::Tensor& dy = outputs[0];
    const at::Tensor sum_gradient =
        outputs.size() > 1 && outputs[1].defined() ? outputs[1].contiguous() : at::Tensor();
    std::vector<at::Tensor> result(kFirstPairSlot);
    if (!dy.defined()) {
      result[kSourceSlot] = result[kBranchSlot] = sum_gradient;
      result.resize(kFirstPairSlot + 2 * pairs.size());
      return result;
    }
    ProductNeeds needs{wants(kSourceSlot) || wants(kBranchSlot), wants(kNormSlot), false,
                       wants(kWeightSlot)};
    for (size_t i = 0; i < 2 * pairs.size(); ++i) needs.adapters |= wants(kFirstPairSlot + i);
    const ProductGradients gradients = bordered_backward(product_, dy, sum_gradient, needs);
    if (wants(kSourceSlot)) result[kSourceSlot] = gradients.source;
    if (wants(kBranchSlot)) result[kBranchSlot] = gradients.source;
    if (needs.norm) result[kNormSlot] = as_leaf(gradients.norm, product_.input.norm.master);
    if (needs.weight) result[kWeightSlot] = as_leaf(gradients.weight, product_.weight.master);
    for (size_t i = 0; i < pairs.size(); ++i) {
      result.push_back(needs.adapters ? as_leaf(gradients.a[i], pairs[i].a_master) : at::Tensor());
      result.push_back(needs.adapters ? as_leaf(gradients.b[i], pairs[i].b_master) : at::Tensor());
    }
    return result;
  }

  void release() override { product_ = {}; }

  BorderedProduct product_;
};

/// y[rows] += scale * x[rows] A^T B^T for every pair.
void add_pairs(const at::Tensor& y, const at::Tensor& x, const at::Tensor& rows,
               const std::vector<LoraPair>& pairs) {
  if (pairs.empty()) return;
  const at::Tensor inputs = x.index_select(0, rows);
  for (const LoraPair& pair : pairs) {
    require(!pair.magnitude_master.defined(),
            "lora_linear: rows must not choose an adapter with DoRA, which scales whole columns");
    const at::Tensor b = (pair.b_master.detach() * pair.scale).to(y.scalar_type());
    y.narrow(1, pair.row_begin, pair.row_end - pair.row_begin)
        .index_add_(0, rows, inputs.mm(pair.a.t()).mm(b.t()));
  }
}

/// DoRA's factor of every column of the result; undefined without.
at::Tensor magnitude_factors(const BorderedWeight& weight) {
  std::vector<at::Tensor> factors;
  int64_t row = 0;
  for (const LoraPair& pair : weight.pairs) {
    if (!pair.magnitude_master.defined()) continue;
    if (pair.row_begin > row) {
      factors.push_back(at::ones({pair.row_begin - row}, pair.row_norms.options()));
    }
    factors.push_back(pair.magnitude_master / pair.row_norms);
    row = pair.row_end;
  }
  if (factors.empty()) return {};
  if (weight.out_features() > row) {
    factors.push_back(at::ones({weight.out_features() - row}, factors[0].options()));
  }
  return at::cat(factors);
}

at::Tensor with_magnitudes(const at::Tensor& y, const BorderedWeight& weight) {
  const at::Tensor factors = magnitude_factors(weight);
  return factors.defined() ? (y * factors).to(y.scalar_type()) : y;
}

/// Without the adapters that rows may choose, of which a node has no use.
BorderedWeight without_choices(const BorderedWeight& weight) {
  return {.storage = weight.storage,
          .in_features = weight.in_features,
          .pairs = weight.pairs,
          .master = weight.master};
}

NormedProduct record_linear(const at::Tensor& source, const at::Tensor& branch, InputSource input,
                            const BorderedWeight& weight, const DropoutKey& key) {
  BorderedProduct product{std::move(input), without_choices(weight), key, {}};
  for (LoraPair& pair : product.weight.pairs) pair.a = pair.a.contiguous();
  check_bordered_product(product);
  NormedProduct result{source, {}};
  {
    const at::NoGradGuard forward_only;
    result.y = bordered_forward(product);
    // Another tensor than the one that the node keeps, or each would keep the other alive.
    if (branch.defined()) result.sum = product.input.source.detach();
  }
  const std::vector<at::Tensor> inputs = inputs_of(source, branch, product);
  if (!gradients_wanted(inputs)) return result;
  std::vector<at::Tensor> recorded = {result.y};
  if (branch.defined() && gradients_wanted({source, branch})) recorded.push_back(result.sum);
  record(recorded, make_node<LoraLinearNode>(std::move(product)), inputs);
  return result;
}

/// Each row with the pairs of the adapter it chose.
NormedProduct chosen_linear(const at::Tensor& source, InputSource input,
                            const BorderedWeight& weight, const LoraPass& pass) {
  BorderedProduct product{std::move(input), without_choices(weight), {}, {}};
  product.weight.pairs.clear();
  check_bordered_product(product);
  require(
      !gradients_wanted({source, product.input.branch, product.input.norm.master, weight.master}),
      "lora_linear: rows that choose their adapters are for inference, got a pass with "
      "gradients");
  const at::Tensor x =
      product.input.kind == InputKind::kPlain ? source : write_bordered_input(product);
  const at::Tensor y = matrix_product(x, weight.weight().t());
  for (size_t i = 0; i < pass.rows_of_choice.size(); ++i) {
    const at::Tensor& rows = pass.rows_of_choice[i];
    if (rows.numel() > 0) add_pairs(y, x, rows, weight.choices.at(i));
  }
  return {product.input.source, y};
}

NormedProduct apply_linear(const at::Tensor& source, const at::Tensor& branch, InputSource input,
                           const BorderedWeight& weight, const LoraPass& pass) {
  if (!pass.rows_of_choice.empty()) return chosen_linear(source, std::move(input), weight, pass);
  NormedProduct result = record_linear(source, branch, std::move(input), weight, pass.dropout);
  result.y = with_magnitudes(result.y, weight);
  return result;
}

}  // namespace

at::Tensor lora_linear(const at::Tensor& x, const BorderedWeight& weight, const LoraPass& pass) {
  return apply_linear(x, {}, InputSource::plain(x), weight, pass).y;
}

NormedProduct rms_norm_lora_linear(const at::Tensor& x, const at::Tensor& branch,
                                   const NormWeight& norm, const BorderedWeight& weight,
                                   const LoraPass& pass) {
  return apply_linear(x, branch, InputSource::rms_norm(x, branch, norm), weight, pass);
}

at::Tensor swiglu_lora_linear(const at::Tensor& gate_up, const BorderedWeight& weight,
                              const LoraPass& pass) {
  return apply_linear(gate_up, {}, InputSource::swiglu(gate_up), weight, pass).y;
}

}  // namespace radgpt
