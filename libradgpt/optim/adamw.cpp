#include "libradgpt/optim/adamw.h"

#include <torch/types.h>

#include <cmath>
#include <vector>

#include "libradgpt/base/error.h"
#include "libradgpt/ops/run_kernel.h"

namespace radgpt {

namespace {

kernels::AdamW pass_of(const AdamWOptions& options, int64_t updates, double learning_rate,
                       double gradient_scale) {
  const auto t = static_cast<double>(updates);
  kernels::AdamW pass;
  pass.beta1 = static_cast<float>(options.beta1);
  pass.beta2 = static_cast<float>(options.beta2);
  pass.epsilon = static_cast<float>(options.epsilon);
  pass.keep = static_cast<float>(1.0 - learning_rate * options.weight_decay);
  // The moments are sums with the rounded betas: 1 - 0.999f is 1.3e-5 less than 0.001, so with the
  // options' own betas every update would be 6e-6 too large.
  const double beta1 = pass.beta1, beta2 = pass.beta2;
  pass.rate = static_cast<float>(learning_rate / (1.0 - std::pow(beta1, t)));
  pass.second_correction = static_cast<float>(1.0 / (1.0 - std::pow(beta2, t)));
  pass.gradient_scale = static_cast<float>(gradient_scale);
  return pass;
}

/// A copy of the table in the memory of `tensor`.
at::Tensor table_beside(const at::Tensor& tensor, std::vector<kernels::TrainedTensor>& table) {
  const auto bytes = static_cast<int64_t>(table.size() * sizeof(table[0]));
  return at::from_blob(table.data(), {bytes}, at::kByte)
      .to(tensor.device(), at::kByte, false, true);
}

}  // namespace

AdamW::AdamW(ParameterStore& store, const AdamWOptions& options)
    : store_(store),
      options_(options),
      first_moment_(at::zeros_like(store.flat())),
      second_moment_(at::zeros_like(store.flat())) {}

void AdamW::step(double learning_rate, double gradient_scale) {
  const at::NoGradGuard no_grad;
  kernels::AdamW pass = pass_of(options_, ++updates_, learning_rate, gradient_scale);
  pass.gradient = store_.flat_gradient().const_data_ptr<float>();
  pass.master = store_.flat().mutable_data_ptr<float>();
  pass.first_moment = first_moment_.mutable_data_ptr<float>();
  pass.second_moment = second_moment_.mutable_data_ptr<float>();
  std::vector<kernels::TrainedTensor> table = store_.trained_tensors();
  pass.tensors = {table.data(), static_cast<int64_t>(table.size()), kernels::number_blocks(table)};
  if (const DeviceKernels* device = device_kernels_for_sums(store_.flat())) {
    const at::Tensor on_device = table_beside(store_.flat(), table);
    pass.tensors.tensors = static_cast<const kernels::TrainedTensor*>(on_device.const_data_ptr());
    device->adamw(pass, DeviceStream(*device, store_.flat()));
  } else {
    kernels::adamw_cpu(pass, TorchWorkers());
  }
  store_.publish_others();
}

void AdamW::restore(const at::Tensor& first_moment, const at::Tensor& second_moment,
                    int64_t updates) {
  require(first_moment.numel() == first_moment_.numel() &&
              second_moment.numel() == second_moment_.numel(),
          "optimizer: moments must have ", first_moment_.numel(), " elements, got ",
          first_moment.numel(), " and ", second_moment.numel());
  first_moment_.copy_(first_moment);
  second_moment_.copy_(second_moment);
  updates_ = updates;
}

double gradient_norm(const at::Tensor& flat_gradient) {
  const int64_t count = flat_gradient.numel();
  const float* values = flat_gradient.const_data_ptr<float>();
  const DeviceKernels* device = device_kernels_for_sums(flat_gradient);
  if (device == nullptr) return kernels::gradient_norm_cpu(values, count, TorchWorkers());
  const at::Tensor norm = at::empty({1}, flat_gradient.options().dtype(at::kDouble));
  const DeviceWorkspace workspace(device->gradient_norm_workspace(count), flat_gradient);
  device->gradient_norm(values, count, norm.mutable_data_ptr<double>(), workspace,
                        DeviceStream(*device, flat_gradient));
  return norm.item<double>();
}

}  // namespace radgpt
