#include "libradgpt/ops/bordered_rows.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "kernels/lora_linear/lora_input.h"
#include "kernels/lora_linear/lora_output.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/swiglu/swiglu.h"
#include "libradgpt/ops/dropout_mask.h"
#include "libradgpt/ops/run_kernel.h"
#include "libradgpt/ops/visit_type.h"

namespace radgpt {

namespace {

template <typename T>
kernels::AdapterInputs<T> adapter_inputs(const BorderedProduct& product) {
  kernels::AdapterInputs<T> inputs;
  for (const LoraPair& pair : product.weight.pairs) {
    inputs.adapters[inputs.count++] = {values_of<T>(pair.a), pair.rank(), pair.column,
                                       dropout_mask(pair, product.key)};
  }
  return inputs;
}

template <typename C>
at::Tensor empty_sums(const BorderedProduct& product, at::IntArrayRef sizes) {
  return at::empty(sizes, product.input.source.options().dtype(kScalarType<C>));
}

/// The members that all three forward calls have.
template <typename T, template <typename> typename Forward>
Forward<T> forward_call(const BorderedProduct& product, const at::Tensor& x_hat) {
  Forward<T> call;
  call.rows = product.input.rows();
  call.columns = product.input.columns();
  call.y = mutable_values_of<T>(x_hat);
  call.y_stride = x_hat.stride(0);
  call.border = x_hat.size(1) - call.columns;
  call.inputs = adapter_inputs<T>(product);
  return call;
}

template <typename T>
void run_forward(BorderedProduct& product, const at::Tensor& x_hat) {
  InputSource& input = product.input;
  if (input.kind == InputKind::kRmsNorm) {
    auto call = forward_call<T, kernels::RmsNormForward>(product, x_hat);
    input.inverse_rms = empty_sums<Compute<T>>(product, {call.rows});
    call.x = values_of<T>(input.source);
    const at::Tensor sum = input.branch.defined() ? at::empty_like(input.source) : at::Tensor();
    if (sum.defined()) {
      call.residual = values_of<T>(input.branch);
      call.sum = mutable_values_of<T>(sum);
    }
    call.weight = values_of<T>(input.norm.weight);
    call.epsilon = input.norm.epsilon;
    call.inverse_rms = input.inverse_rms.mutable_data_ptr<Compute<T>>();
    run_kernel<T>(
        x_hat, [&](auto& device, auto stream) { device.rms_norm_forward(call, stream); },
        [&](auto workers) { kernels::rms_norm_forward_cpu(call, workers); });
    if (sum.defined()) input.source = sum;
    input.branch.reset();
  } else if (input.kind == InputKind::kSwiglu) {
    auto call = forward_call<T, kernels::SwigluForward>(product, x_hat);
    call.gate_up = values_of<T>(input.source);
    run_kernel<T>(
        x_hat, [&](auto& device, auto stream) { device.swiglu_forward(call, stream); },
        [&](auto workers) { kernels::swiglu_forward_cpu(call, workers); });
  } else {
    auto call = forward_call<T, kernels::LoraInputForward>(product, x_hat);
    call.x = values_of<T>(input.source);
    run_kernel<T>(
        x_hat, [&](auto& device, auto stream) { device.lora_input_forward(call, stream); },
        [&](auto workers) { kernels::lora_input_forward_cpu(call, workers); });
  }
}

/// The members that all three backward calls have; allocates the gradients of A.
template <typename T, template <typename> typename Backward>
Backward<T> backward_call(const BorderedProduct& product, const at::Tensor& dx0,
                          const at::Tensor& ds, const ProductNeeds& needs,
                          ProductGradients& gradients) {
  Backward<T> call;
  call.rows = product.input.rows();
  call.columns = product.input.columns();
  if (dx0.defined()) {
    call.dy = values_of<T>(dx0);
    call.dy_stride = call.columns;
  }
  call.inputs = adapter_inputs<T>(product);
  if (call.inputs.count == 0) return call;
  call.gradients.ds = values_of<T>(ds);
  call.gradients.ds_stride = ds.size(1);
  for (int i = 0; i < call.inputs.count && needs.adapters; ++i) {
    gradients.a.push_back(
        empty_sums<Compute<T>>(product, {call.inputs.adapters[i].rank, call.columns}));
    call.gradients.da[i] = gradients.a.back().mutable_data_ptr<Compute<T>>();
  }
  return call;
}

template <typename T>
kernels::RmsNormBackward<T> rms_norm_call(const BorderedProduct& product,
                                          kernels::RmsNormBackward<T> call) {
  const InputSource& input = product.input;
  call.x = values_of<T>(input.source);
  call.weight = values_of<T>(input.norm.weight);
  call.inverse_rms = input.inverse_rms.const_data_ptr<Compute<T>>();
  if (product.border.defined()) {
    call.s = values_of<T>(product.border);
    call.s_stride = product.border.size(1);
  }
  return call;
}

template <typename T>
ProductGradients run_input_backward(const BorderedProduct& product, const at::Tensor& dx0,
                                    const at::Tensor& ds, const at::Tensor& sum_gradient,
                                    const ProductNeeds& needs) {
  const InputSource& input = product.input;
  ProductGradients gradients;
  T* d_source = nullptr;
  if (dx0.defined()) {
    gradients.source = input.kind == InputKind::kPlain ? dx0 : at::empty_like(input.source);
    d_source = mutable_values_of<T>(gradients.source);
  }
  if (input.kind == InputKind::kRmsNorm) {
    auto call = rms_norm_call(
        product, backward_call<T, kernels::RmsNormBackward>(product, dx0, ds, needs, gradients));
    call.dx = d_source;
    if (sum_gradient.defined()) call.residual_gradient = values_of<T>(sum_gradient);
    if (needs.norm) {
      gradients.norm = empty_sums<Compute<T>>(product, {call.columns});
      call.dweight = gradients.norm.mutable_data_ptr<Compute<T>>();
    }
    run_kernel<T>(
        input.source,
        [&](auto& device, auto stream) {
          const DeviceWorkspace workspace(device.rms_norm_backward_workspace(call), input.source);
          device.rms_norm_backward(call, workspace, stream);
        },
        [&](auto workers) { kernels::rms_norm_backward_cpu(call, workers); });
  } else if (input.kind == InputKind::kSwiglu) {
    auto call = backward_call<T, kernels::SwigluBackward>(product, dx0, ds, needs, gradients);
    call.gate_up = values_of<T>(input.source);
    call.d_gate_up = d_source;
    run_kernel<T>(
        input.source,
        [&](auto& device, auto stream) {
          const DeviceWorkspace workspace(device.swiglu_backward_workspace(call), input.source);
          device.swiglu_backward(call, workspace, stream);
        },
        [&](auto workers) { kernels::swiglu_backward_cpu(call, workers); });
  } else if (ds.defined()) {
    auto call = backward_call<T, kernels::LoraInputBackward>(product, dx0, ds, needs, gradients);
    call.x = values_of<T>(input.source);
    call.dx = d_source;
    run_kernel<T>(
        input.source,
        [&](auto& device, auto stream) {
          const DeviceWorkspace workspace(device.lora_input_backward_workspace(call), input.source);
          device.lora_input_backward(call, workspace, stream);
        },
        [&](auto workers) { kernels::lora_input_backward_cpu(call, workers); });
  }
  return gradients;
}

template <typename T>
OutputGradients run_output_backward(const BorderedProduct& product, const at::Tensor& dy) {
  const BorderedWeight& weight = product.weight;
  OutputGradients gradients;
  gradients.ds = at::empty_like(product.border);
  kernels::LoraOutputBackward<T> call;
  call.rows = dy.size(0);
  call.out_features = dy.size(1);
  call.dy = values_of<T>(dy);
  call.s = values_of<T>(product.border);
  call.ds = mutable_values_of<T>(gradients.ds);
  call.border = call.s_stride = call.ds_stride = product.border.size(1);
  call.weight_border = values_of<T>(weight.storage) + weight.in_features;
  call.weight_stride = weight.storage.stride(0);
  for (const LoraPair& pair : weight.pairs) {
    at::Tensor& db = gradients.b.emplace_back(
        empty_sums<Compute<T>>(product, {pair.row_end - pair.row_begin, pair.rank()}));
    call.adapters[call.count++] = {pair.row_begin, pair.row_end, pair.rank(),
                                   pair.column,    pair.scale,   db.mutable_data_ptr<Compute<T>>()};
  }
  run_kernel<T>(
      dy,
      [&](auto& device, auto stream) {
        const DeviceWorkspace workspace(device.lora_output_backward_workspace(call), dy);
        device.lora_output_backward(call, workspace, stream);
      },
      [&](auto workers) { kernels::lora_output_backward_cpu(call, workers); });
  return gradients;
}

}  // namespace

at::Tensor write_bordered_input(BorderedProduct& product) {
  const InputSource& input = product.input;
  const int64_t width = input.columns() + used_border(product.weight);
  const bool tiles = device_kernels(input.source) != nullptr;
  const int64_t stride = tiles ? (width + kBorderTile - 1) / kBorderTile * kBorderTile : width;
  const at::Tensor x_hat =
      at::empty({input.rows(), stride}, input.source.options()).narrow(1, 0, width);
  visit_type(x_hat.scalar_type(), "lora_linear",
             [&](auto zero) { run_forward<decltype(zero)>(product, x_hat); });
  return x_hat;
}

OutputGradients output_gradients(const BorderedProduct& product, const at::Tensor& dy) {
  return visit_type(dy.scalar_type(), "lora_linear",
                    [&](auto zero) { return run_output_backward<decltype(zero)>(product, dy); });
}

ProductGradients input_gradients(const BorderedProduct& product, const at::Tensor& dx0,
                                 const at::Tensor& ds, const at::Tensor& sum_gradient,
                                 const ProductNeeds& needs) {
  return visit_type(product.input.source.scalar_type(), "lora_linear", [&](auto zero) {
    return run_input_backward<decltype(zero)>(product, dx0, ds, sum_gradient, needs);
  });
}

}  // namespace radgpt
