#include "libradgpt/ops/composite_node.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/functions/utils.h>

#include <algorithm>

#include "libradgpt/base/error.h"

namespace radgpt {

torch::autograd::variable_list CompositeNode::apply(torch::autograd::variable_list&& gradients) {
  require(!released_, name(), ": backward a second time; its kept tensors are gone");
  require(!at::GradMode::is_enabled(), name(), ": gradients of gradients are not supported");
  for (const Kept& kept : kept_) {
    require(kept.tensor._version() == kept.version, name(),
            ": a tensor kept for backward was changed in place, version ", kept.version, " is now ",
            kept.tensor._version());
  }
  const bool reached = std::any_of(gradients.begin(), gradients.end(),
                                   [](const at::Tensor& gradient) { return gradient.defined(); });
  return reached ? backward(gradients) : torch::autograd::variable_list(num_outputs());
}

void CompositeNode::release_variables() {
  released_ = true;
  kept_.clear();
  release();
}

void CompositeNode::keep(const at::Tensor& tensor) {
  kept_.push_back({tensor, static_cast<int64_t>(tensor._version())});
}

bool gradients_wanted(const std::vector<at::Tensor>& inputs) {
  return at::GradMode::is_enabled() &&
         std::any_of(inputs.begin(), inputs.end(),
                     [](const at::Tensor& t) { return t.defined() && t.requires_grad(); });
}

void record(const std::vector<at::Tensor>& results, const std::shared_ptr<CompositeNode>& node,
            const std::vector<at::Tensor>& inputs) {
  node->set_next_edges(torch::autograd::collect_next_edges(inputs));
  torch::autograd::set_history(results, node);
}

}  // namespace radgpt
