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
  std::vector<at::Tensor> backward(const at::Tensor& gradient) override {
    const ProductNeeds needs{wants(0), wants(1), false, false};
    const ProductGradients gradients = input_gradients(norm_, gradient.contiguous(), {}, needs);
    const at::Tensor& master = norm_.input.norm.master;
    return {needs.source ? gradients.source : at::Tensor(),
            needs.norm ? gradients.norm.to(master.scalar_type()) : at::Tensor()};
  }

  void release() override { norm_ = {}; }

  BorderedProduct norm_;
};

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const NormWeight& norm) {
  BorderedProduct product;
  product.input = InputSource::rms_norm(x, norm);
  at::Tensor y;
  {
    const at::NoGradGuard forward_only;
    y = write_bordered_input(product);
  }
  if (!gradients_wanted({x, norm.master})) return y;
  return record(y, make_node<RmsNormNode>(std::move(product)), {x, norm.master});
}

}  // namespace radgpt
