#include "libradgpt/ops/parameter_store.h"

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

void ParameterStore::bind(size_t index, at::Tensor destination, Binding binding, double scale) {
  require(destination.sizes() == at::IntArrayRef(specs_.at(index).shape),
          "parameter store: ", specs_[index].name, ": bound tensor must have shape ",
          at::IntArrayRef(specs_[index].shape), ", got ", destination.sizes());
  bound_.push_back({index, std::move(destination), binding, scale});
}

void ParameterStore::publish() const {
  const at::NoGradGuard no_grad;
  for (const Bound& bound : bound_) {
    const at::Tensor master = masters_.at(bound.index).detach();
    if (bound.binding == Binding::kNormalisedRows) {
      bound.destination.copy_(master / master.norm(2, {1}, true).clamp_min(1e-12));
    } else if (bound.scale == 1.0) {
      bound.destination.copy_(master);
    } else {
      bound.destination.copy_(master * bound.scale);
    }
  }
}

}  // namespace radgpt
