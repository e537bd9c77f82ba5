#pragma once

#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/function.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace radgpt {

/// One composite op in LibTorch's autograd graph: a backward pass written by hand over tensors that
/// the op chose to keep.
class CompositeNode : public torch::autograd::Node {
 public:
  torch::autograd::variable_list apply(torch::autograd::variable_list&& gradients) final;
  void release_variables() final;

 protected:
  /// Notes a kept tensor: changing it in place before the backward pass is an error.
  void keep(const at::Tensor& tensor);
  /// Whether the gradient of input `slot` is asked for.
  bool wants(size_t slot) const { return task_should_compute_output(slot); }
  /// From the gradients of the recorded results, of which some may be undefined but not all, those
  /// of all inputs, undefined where not wanted. Runs without recording.
  virtual std::vector<at::Tensor> backward(const std::vector<at::Tensor>& gradients) = 0;
  /// Lets the kept tensors go.
  virtual void release() = 0;

 private:
  struct Kept {
    at::Tensor tensor;
    int64_t version;
  };
  std::vector<Kept> kept_;
  bool released_ = false;
};

/// Whether a node is worth making: gradients are recorded and one of the inputs (which may be
/// undefined) asks for one.
bool gradients_wanted(const std::vector<at::Tensor>& inputs);

/// Makes `node` the history of `results`, with `inputs` in the order of its gradients.
void record(const std::vector<at::Tensor>& results, const std::shared_ptr<CompositeNode>& node,
            const std::vector<at::Tensor>& inputs);

template <typename Node, typename... Arguments>
std::shared_ptr<Node> make_node(Arguments&&... arguments) {
  return {new Node(std::forward<Arguments>(arguments)...), torch::autograd::deleteNode};
}

}  // namespace radgpt
