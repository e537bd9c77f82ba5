#include <ATen/core/grad_mode.h>

#include "libradgpt/ops/bordered_rows.h"
#include "libradgpt/ops/composite_node.h"
#include "libradgpt/ops/lora_linear.h"

namespace radgpt {

namespace {

/// RMSNorm is the input of a bordered product that has no product.
class RmsNormNode : public CompositeNode {
 public:
  explicit RmsNormNode(BorderedProduct norm) : norm_(std::move(norm)) { keep(norm_.input.source); }
  std::string name() const override { return "RmsNorm"; }

 private:
  std::vector<at::Tensor> backward(const std::vector<at::Tensor>& dy) override {
    const ProductNeeds needs{wants(0) || wants(1), wants(2), false, false};
    const ProductGradients gradients = input_gradients(norm_, dy[0].contiguous(), {}, {}, needs);
    const at::Tensor& master = norm_.input.norm.master;
    return {wants(0) ? gradients.source : at::Tensor(), wants(1) ? gradients.source : at::Tensor(),
            needs.norm ? gradients.norm.to(master.scalar_type()) : at::Tensor()};
  }

  void release() override { norm_ = {}; }

  BorderedProduct norm_;
};

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& branch, const NormWeight& norm) {
  BorderedProduct product;
  product.input = InputSource::rms_norm(x, branch, norm);
  at::Tensor y;
  {
    const at::NoGradGuard forward_only;
    y = write_bordered_input(product);
  }
  const std::vector<at::Tensor> inputs = {x, branch, norm.master};
  if (gradients_wanted(inputs)) record({y}, make_node<RmsNormNode>(std::move(product)), inputs);
  return y;
}

}  // namespace radgpt
