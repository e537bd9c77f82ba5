#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/adamw/adamw.h"

namespace torch::autograd {
struct Node;
}

namespace radgpt {

/// A trained tensor: its name in files and its shape.
struct ParameterSpec {
  std::string name;
  std::vector<int64_t> shape;
  double rate_ratio = 1.0;  ///< its learning rate as a multiple of the run's
};

/// Every trained parameter of a run in one flat fp32 buffer (masters), with a second one of the
/// same layout for gradients: one norm, one reduction, one AdamW pass, one file.
///
/// `master(i)` is a leaf of the autograd graph; its `.grad` is a view of the flat gradient, so a
/// backward pass adds straight into it. The model computes with copies in its own type ("bound"
/// tensors, e.g. the border of a weight): `bind` names them, `publish` rewrites all of them.
class ParameterStore {
 public:
  /// How a bound tensor follows from its master.
  enum class Binding {
    kCopy,           ///< destination = master * scale
    kNormalisedRows  ///< destination = each row of master divided by max(its 2-norm, 1e-12)
  };

  ParameterStore() = default;
  ParameterStore(const ParameterStore&) = delete;
  ParameterStore& operator=(const ParameterStore&) = delete;

  /// Adds a parameter and returns its index. Only before `allocate`.
  size_t add(ParameterSpec spec);
  /// Makes the buffers, zeroed, on the device of the model. Call once, after the last `add`.
  void allocate(at::Device device = at::kCPU);

  size_t size() const { return specs_.size(); }
  const ParameterSpec& spec(size_t index) const { return specs_.at(index); }
  /// Leaf [shape], fp32, requires_grad; its gradient is `gradient(index)`.
  const at::Tensor& master(size_t index) const { return masters_.at(index); }
  at::Tensor gradient(size_t index) const { return masters_.at(index).grad(); }
  /// [numel()] fp32, all masters one after the other.
  const at::Tensor& flat() const { return flat_; }
  /// [numel()] fp32, same layout. Backward passes add to it; whoever steps zeroes it.
  const at::Tensor& flat_gradient() const { return flat_gradient_; }
  int64_t numel() const { return numel_; }
  /// Of the first element of a parameter in both buffers.
  int64_t offset(size_t index) const { return masters_.at(index).storage_offset(); }
  /// In every backward pass from now on calls `complete` with the index of each parameter as soon
  /// as its gradient has all that this pass adds to it; parameters without part in the pass are not
  /// named. Replaces what was given before; {} ends it. After allocate.
  void watch_gradients(std::function<void(size_t)> complete);

  /// `destination` (any floating type and strides, the master's shape) is rewritten from
  /// master(index) by every `publish`. Throws Error(kInput) for another shape or device, and before
  /// allocate.
  void bind(size_t index, at::Tensor destination, Binding binding = Binding::kCopy,
            double scale = 1.0);
  /// Every `publish` calls `update` once all bound tensors are rewritten: for what follows from
  /// master(index) otherwise than as a copy. It must own what it refers to.
  void bind(size_t index, std::function<void()> update);
  /// Forgets all that is bound to a parameter.
  void unbind(size_t index);
  /// Rewrites all bound tensors from the masters (computed in fp32, rounded once).
  void publish() const;

  /// Every parameter as an optimiser's pass sees it, in order, with its first bound copy in
  /// bfloat16 or float, which the pass writes. Matrices decay.
  std::vector<kernels::TrainedTensor> trained_tensors() const;
  /// Rewrites the bound tensors that trained_tensors does not name, and calls all updates.
  void publish_others() const;

 private:
  struct Bound {
    bool in_pass() const;  ///< whether trained_tensors can name it
    void publish(const at::Tensor& master) const;

    size_t index;
    at::Tensor destination;
    Binding binding;
    double scale;
  };

  struct Update {
    size_t index;
    std::function<void()> run;
  };

  /// Of each parameter the binding that trained_tensors names, or null.
  std::vector<const Bound*> copies_in_pass() const;

  std::vector<ParameterSpec> specs_;
  std::vector<at::Tensor> masters_;
  std::vector<std::shared_ptr<torch::autograd::Node>> accumulators_;  ///< that are watched
  std::function<void(size_t)> complete_;
  std::vector<Bound> bound_;
  std::vector<Update> updates_;
  at::Tensor flat_;
  at::Tensor flat_gradient_;
  int64_t numel_ = 0;
};

}  // namespace radgpt
