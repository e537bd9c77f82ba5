#include "libradgpt/ops/bordered_rows.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "kernels/lora_linear/lora_input.h"
#include "kernels/lora_linear/lora_output.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/swiglu/swiglu.h"
#include "libradgpt/ops/dropout_mask.h"
#include "libradgpt/ops/torch_workers.h"
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
  call.y_stride = x_hat.size(1);
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
    call.weight = values_of<T>(input.norm.weight);
    call.epsilon = input.norm.epsilon;
    call.inverse_rms = input.inverse_rms.mutable_data_ptr<Compute<T>>();
    kernels::rms_norm_forward_cpu(call, TorchWorkers());
  } else if (input.kind == InputKind::kSwiglu) {
    auto call = forward_call<T, kernels::SwigluForward>(product, x_hat);
    call.gate_up = values_of<T>(input.source);
    kernels::swiglu_forward_cpu(call, TorchWorkers());
  } else {
    auto call = forward_call<T, kernels::LoraInputForward>(product, x_hat);
    call.x = values_of<T>(input.source);
    kernels::lora_input_forward_cpu(call, TorchWorkers());
  }
}

/// The members that all three backward calls have; allocates the gradients of A.
template <typename T, template <typename> typename Backward>
Backward<T> backward_call(const BorderedProduct& product, const at::Tensor& d,
                          const ProductNeeds& needs, ProductGradients& gradients) {
  const bool source = needs.source || needs.norm;
  Backward<T> call;
  call.rows = product.input.rows();
  call.columns = product.input.columns();
  call.inputs = adapter_inputs<T>(product);
  if (source) call.dy = values_of<T>(d);
  call.dy_stride = call.gradients.ds_stride = d.size(1);
  if (call.inputs.count > 0) call.gradients.ds = values_of<T>(d) + (source ? call.columns : 0);
  for (int i = 0; i < call.inputs.count && needs.adapters; ++i) {
    gradients.a.push_back(
        empty_sums<Compute<T>>(product, {call.inputs.adapters[i].rank, call.columns}));
    call.gradients.da[i] = gradients.a.back().mutable_data_ptr<Compute<T>>();
  }
  return call;
}

template <typename T>
ProductGradients run_backward(const BorderedProduct& product, const at::Tensor& d,
                              const ProductNeeds& needs) {
  const InputSource& input = product.input;
  ProductGradients gradients;
  T* d_source = nullptr;
  if (needs.source || needs.norm) {
    gradients.source = at::empty_like(input.source);
    d_source = mutable_values_of<T>(gradients.source);
  }
  if (input.kind == InputKind::kRmsNorm) {
    auto call = backward_call<T, kernels::RmsNormBackward>(product, d, needs, gradients);
    call.x = values_of<T>(input.source);
    call.weight = values_of<T>(input.norm.weight);
    call.inverse_rms = input.inverse_rms.const_data_ptr<Compute<T>>();
    call.dx = d_source;
    if (product.border.defined()) {
      call.s = values_of<T>(product.border);
      call.s_stride = product.border.size(1);
    }
    if (needs.norm) {
      gradients.norm = empty_sums<Compute<T>>(product, {call.columns});
      call.dweight = gradients.norm.mutable_data_ptr<Compute<T>>();
    }
    kernels::rms_norm_backward_cpu(call, TorchWorkers());
  } else if (input.kind == InputKind::kSwiglu) {
    auto call = backward_call<T, kernels::SwigluBackward>(product, d, needs, gradients);
    call.gate_up = values_of<T>(input.source);
    call.d_gate_up = d_source;
    kernels::swiglu_backward_cpu(call, TorchWorkers());
  } else {
    auto call = backward_call<T, kernels::LoraInputBackward>(product, d, needs, gradients);
    call.x = values_of<T>(input.source);
    call.dx = d_source;
    kernels::lora_input_backward_cpu(call, TorchWorkers());
  }
  return gradients;
}

template <typename T>
std::vector<at::Tensor> run_output_backward(const BorderedProduct& product, const at::Tensor& dy) {
  const BorderedWeight& weight = product.weight;
  kernels::LoraOutputBackward<T> call;
  call.rows = dy.size(0);
  call.out_features = dy.size(1);
  call.dy = values_of<T>(dy);
  call.s = values_of<T>(product.border);
  call.s_stride = call.border = product.border.size(1);
  call.weight_border = values_of<T>(weight.storage) + weight.in_features;
  call.weight_stride = weight.storage.stride(0);
  std::vector<at::Tensor> gradients;
  for (const LoraPair& pair : weight.pairs) {
    at::Tensor& db = gradients.emplace_back(
        empty_sums<Compute<T>>(product, {pair.row_end - pair.row_begin, pair.rank()}));
    call.adapters[call.count++] = {pair.row_begin, pair.row_end, pair.rank(),
                                   pair.column,    pair.scale,   db.mutable_data_ptr<Compute<T>>()};
  }
  kernels::lora_output_backward_cpu(call, TorchWorkers());
  return gradients;
}

}  // namespace

at::Tensor write_bordered_input(BorderedProduct& product) {
  const InputSource& input = product.input;
  at::Tensor x_hat = at::empty({input.rows(), input.columns() + used_border(product.weight)},
                               input.source.options());
  visit_type(x_hat.scalar_type(), "lora_linear",
             [&](auto zero) { run_forward<decltype(zero)>(product, x_hat); });
  return x_hat;
}

ProductGradients backward_rows(const BorderedProduct& product, const at::Tensor& d,
                               const ProductNeeds& needs) {
  return visit_type(d.scalar_type(), "lora_linear",
                    [&](auto zero) { return run_backward<decltype(zero)>(product, d, needs); });
}

std::vector<at::Tensor> b_gradients(const BorderedProduct& product, const at::Tensor& dy) {
  return visit_type(dy.scalar_type(), "lora_linear",
                    [&](auto zero) { return run_output_backward<decltype(zero)>(product, dy); });
}

}  // namespace radgpt
