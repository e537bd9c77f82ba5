#include "libradgpt/ops/parameter_store.h"

#include <torch/csrc/autograd/utils/lambda_post_hook.h>
#include <torch/types.h>

#include <numeric>

#include "libradgpt/base/error.h"

namespace radgpt {

namespace {

int64_t element_count(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

}  // namespace

size_t ParameterStore::add(ParameterSpec spec) {
  require(!flat_.defined(), "parameter store: ", spec.name, " added after allocate");
  numel_ += element_count(spec.shape);
  specs_.push_back(std::move(spec));
  return specs_.size() - 1;
}

void ParameterStore::allocate(at::Device device) {
  require(!flat_.defined(), "parameter store: allocate called twice");
  const auto options = at::TensorOptions().dtype(at::kFloat).device(device);
  flat_ = at::zeros({numel_}, options);
  flat_gradient_ = at::zeros({numel_}, options);
  int64_t begin = 0;
  for (const ParameterSpec& spec : specs_) {
    const int64_t count = element_count(spec.shape);
    at::Tensor master = flat_.narrow(0, begin, count).view(spec.shape).detach();
    master.set_requires_grad(true);
    master.mutable_grad() = flat_gradient_.narrow(0, begin, count).view(spec.shape);
    masters_.push_back(std::move(master));
    begin += count;
  }
}

void ParameterStore::watch_gradients(std::function<void(size_t)> complete) {
  require(flat_.defined(), "parameter store: gradients watched before allocate");
  complete_ = std::move(complete);
  if (!accumulators_.empty()) return;
  using torch::autograd::variable_list;
  for (size_t index = 0; index < masters_.size(); ++index) {
    accumulators_.push_back(torch::autograd::impl::grad_accumulator(masters_[index]));
    accumulators_.back()->add_post_hook(std::make_unique<torch::autograd::utils::LambdaPostHook>(
        [this, index](const variable_list& outputs, const variable_list&) {
          if (complete_) complete_(index);
          return outputs;
        }));
  }
}

void ParameterStore::bind(size_t index, at::Tensor destination, Binding binding, double scale) {
  require(destination.sizes() == at::IntArrayRef(specs_.at(index).shape),
          "parameter store: ", specs_[index].name, ": bound tensor must have shape ",
          at::IntArrayRef(specs_[index].shape), ", got ", destination.sizes());
  require(flat_.defined() && destination.device() == flat_.device(),
          "parameter store: ", specs_[index].name,
          ": bound tensor must be where the parameters were allocated, got ", destination.device());
  bound_.push_back({index, std::move(destination), binding, scale});
}

void ParameterStore::bind(size_t index, std::function<void()> update) {
  updates_.push_back({index, std::move(update)});
}

void ParameterStore::unbind(size_t index) {
  std::erase_if(bound_, [=](const Bound& bound) { return bound.index == index; });
  std::erase_if(updates_, [=](const Update& update) { return update.index == index; });
}

bool ParameterStore::Bound::in_pass() const {
  const at::ScalarType type = destination.scalar_type();
  const bool rows = destination.dim() == 0 || destination.stride(-1) == 1;
  return binding == Binding::kCopy && destination.dim() <= 2 && rows &&
         (type == at::kBFloat16 || type == at::kFloat);
}

void ParameterStore::Bound::publish(const at::Tensor& master) const {
  if (binding == Binding::kNormalisedRows) {
    destination.copy_(master / master.norm(2, {1}, true).clamp_min(1e-12));
  } else if (scale == 1.0) {
    destination.copy_(master);
  } else {
    destination.copy_(master * scale);
  }
}

void ParameterStore::publish() const {
  const at::NoGradGuard no_grad;
  for (const Bound& bound : bound_) bound.publish(masters_.at(bound.index).detach());
  for (const Update& update : updates_) update.run();
}

std::vector<const ParameterStore::Bound*> ParameterStore::copies_in_pass() const {
  std::vector<const Bound*> copies(specs_.size());
  for (const Bound& bound : bound_) {
    if (bound.in_pass() && copies[bound.index] == nullptr) copies[bound.index] = &bound;
  }
  return copies;
}

std::vector<kernels::TrainedTensor> ParameterStore::trained_tensors() const {
  std::vector<kernels::TrainedTensor> tensors;
  const std::vector<const Bound*> copies = copies_in_pass();
  int64_t begin = 0;
  for (size_t i = 0; i < specs_.size(); ++i) {
    const std::vector<int64_t>& shape = specs_[i].shape;
    kernels::TrainedTensor tensor;
    tensor.begin = begin;
    tensor.columns = shape.empty() ? 1 : shape.back();
    tensor.rows = tensor.columns == 0 ? 0 : element_count(shape) / tensor.columns;
    if (const Bound* copy = copies[i]) {
      tensor.copy = copy->destination.mutable_data_ptr();
      tensor.copy_stride = shape.size() == 2 ? copy->destination.stride(0) : tensor.columns;
      tensor.copy_type = copy->destination.scalar_type() == at::kFloat
                             ? kernels::CopyType::kFloat
                             : kernels::CopyType::kBFloat16;
      tensor.scale = static_cast<float>(copy->scale);
    }
    begin += element_count(shape);
    tensor.rate_ratio = static_cast<float>(specs_[i].rate_ratio);
    tensor.decay = shape.size() >= 2 ? kernels::WeightDecay::kYes : kernels::WeightDecay::kNo;
    if (tensor.rows > 0) tensors.push_back(tensor);
  }
  return tensors;
}

void ParameterStore::publish_others() const {
  const at::NoGradGuard no_grad;
  const std::vector<const Bound*> copies = copies_in_pass();
  for (const Bound& bound : bound_) {
    if (copies[bound.index] != &bound) bound.publish(masters_.at(bound.index).detach());
  }
  for (const Update& update : updates_) update.run();
}

}  // namespace radgpt
