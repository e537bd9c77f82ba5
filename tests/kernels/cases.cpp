#include "tests/kernels/cases.h"

#include <algorithm>

#include "tests/kernels/reference.h"

namespace radgpt::kernels {

namespace {

DropoutMask random_mask(double dropout, uint32_t module) {
  DropoutMask mask;
  if (dropout == 0.0) return mask;
  mask.key = {0x1234ABCD, 0x9876FEDC};
  mask.pack = 3;
  mask.module = module;
  mask.drop(dropout);
  return mask;
}

template <typename T>
AdapterInputs<T> adapter_inputs(CallMemory& memory, const InputShape& shape) {
  AdapterInputs<T> inputs;
  int64_t column = 0;
  for (const AdapterShape& adapter : shape.adapters) {
    AdapterInput<T>& input = inputs.adapters[inputs.count++];
    input.a = memory.input<T>(adapter.rank, shape.columns, shape.columns);
    input.rank = adapter.rank;
    input.column = column;
    input.mask = random_mask(adapter.dropout, static_cast<uint32_t>(inputs.count));
    column += adapter.rank;
  }
  return inputs;
}

/// The rows of a border, with zeros in the columns of no adapter.
template <typename T>
const T* border_input(CallMemory& memory, int64_t rows, int64_t border, int64_t used,
                      int64_t stride) {
  std::vector<double> values = memory.random(rows, border);
  for (int64_t row = 0; row < rows; ++row) {
    std::fill(values.begin() + row * border + used, values.begin() + (row + 1) * border, 0.0);
  }
  return memory.input<T>(values, border, stride);
}

template <typename T>
AdapterGradients<T> adapter_gradients(CallMemory& memory, const InputShape& shape) {
  AdapterGradients<T> gradients;
  int64_t used = 0;
  for (size_t i = 0; i < shape.adapters.size(); ++i) {
    const int64_t rank = shape.adapters[i].rank;
    gradients.da[i] = memory.output<Compute<T>>(rank, shape.columns, shape.columns);
    used += rank;
  }
  if (used == 0) return gradients;
  gradients.ds_stride = shape.border + shape.padding;
  gradients.ds = border_input<T>(memory, shape.rows, shape.border, used, gradients.ds_stride);
  return gradients;
}

/// What the three forward passes have in common.
template <typename T, typename Call>
void fill_forward(Call& call, CallMemory& memory, const InputShape& shape) {
  call.rows = shape.rows;
  call.columns = shape.columns;
  call.border = shape.border;
  call.y_stride = shape.columns + shape.border + shape.padding;
  call.y = memory.output<T>(shape.rows, shape.columns + shape.border, call.y_stride);
  call.inputs = adapter_inputs<T>(memory, shape);
}

template <typename T, typename Call>
void fill_backward(Call& call, CallMemory& memory, const InputShape& shape) {
  call.rows = shape.rows;
  call.columns = shape.columns;
  call.dy_stride = shape.columns + shape.padding;
  call.dy = memory.input<T>(shape.rows, shape.columns, call.dy_stride);
  call.inputs = adapter_inputs<T>(memory, shape);
  call.gradients = adapter_gradients<T>(memory, shape);
}

template <typename T>
const T* plain_input(CallMemory& memory, int64_t rows, int64_t columns, double size = 1.0) {
  return memory.input<T>(rows, columns, columns, size);
}

/// What the backward pass of RMSNorm is given of the forward pass.
template <typename T>
void add_forward_results(RmsNormBackward<T>& call, CallMemory& memory, const InputShape& shape) {
  RmsNormForward<T> forward;
  forward.rows = call.rows;
  forward.columns = call.columns;
  forward.border = shape.border;
  forward.x = call.x;
  forward.weight = call.weight;
  forward.inputs = call.inputs;
  const Arrays results = reference(forward, Arithmetic::kExact);
  call.inverse_rms = memory.input<Compute<T>>(results.at("inverse_rms"), 1, 1);
  call.s = memory.input<T>(results.at("s"), shape.border, shape.border);
  call.s_stride = shape.border;
}

}  // namespace

template <typename T>
RmsNormForward<T> Cases<T>::rms_norm_forward(CallMemory& memory, const InputShape& shape) {
  RmsNormForward<T> call;
  fill_forward<T>(call, memory, shape);
  call.x = plain_input<T>(memory, shape.rows, shape.columns);
  call.weight = plain_input<T>(memory, 1, shape.columns, 2.0);
  if (shape.residual) {
    call.residual = plain_input<T>(memory, shape.rows, shape.columns);
    call.sum = memory.output<T>(shape.rows, shape.columns, shape.columns);
  }
  call.inverse_rms = memory.output<Compute<T>>(shape.rows, 1, 1);
  return call;
}

template <typename T>
RmsNormBackward<T> Cases<T>::rms_norm_backward(CallMemory& memory, const InputShape& shape) {
  RmsNormBackward<T> call;
  fill_backward<T>(call, memory, shape);
  call.x = plain_input<T>(memory, shape.rows, shape.columns);
  call.weight = plain_input<T>(memory, 1, shape.columns, 2.0);
  add_forward_results(call, memory, shape);
  if (shape.residual) {
    call.residual_gradient = plain_input<T>(memory, shape.rows, shape.columns);
  }
  call.dx = memory.output<T>(shape.rows, shape.columns, shape.columns);
  call.dweight = memory.output<Compute<T>>(1, shape.columns, shape.columns);
  return call;
}

template <typename T>
SwigluForward<T> Cases<T>::swiglu_forward(CallMemory& memory, const InputShape& shape) {
  SwigluForward<T> call;
  fill_forward<T>(call, memory, shape);
  call.gate_up = plain_input<T>(memory, shape.rows, 2 * shape.columns, 4.0);
  return call;
}

template <typename T>
SwigluBackward<T> Cases<T>::swiglu_backward(CallMemory& memory, const InputShape& shape) {
  SwigluBackward<T> call;
  fill_backward<T>(call, memory, shape);
  call.gate_up = plain_input<T>(memory, shape.rows, 2 * shape.columns, 4.0);
  call.d_gate_up = memory.output<T>(shape.rows, 2 * shape.columns, 2 * shape.columns);
  return call;
}

template <typename T>
LoraInputForward<T> Cases<T>::lora_input_forward(CallMemory& memory, const InputShape& shape) {
  LoraInputForward<T> call;
  fill_forward<T>(call, memory, shape);
  call.x = plain_input<T>(memory, shape.rows, shape.columns);
  return call;
}

template <typename T>
LoraInputBackward<T> Cases<T>::lora_input_backward(CallMemory& memory, const InputShape& shape) {
  LoraInputBackward<T> call;
  fill_backward<T>(call, memory, shape);
  call.x = plain_input<T>(memory, shape.rows, shape.columns);
  call.dx = memory.output<T>(shape.rows, shape.columns, shape.columns);
  return call;
}

template <typename T>
LoraOutputBackward<T> Cases<T>::lora_output_backward(CallMemory& memory, const OutputShape& shape) {
  LoraOutputBackward<T> call;
  call.rows = shape.rows;
  call.out_features = shape.out_features;
  call.dy = plain_input<T>(memory, shape.rows, shape.out_features);
  call.border = shape.border;
  const auto count = static_cast<int64_t>(shape.ranks.size());
  const int64_t share = shape.out_features / count / shape.share_step * shape.share_step;
  int64_t column = 0;
  for (int64_t i = 0; i < count; ++i) {
    AdapterOutput<T>& adapter = call.adapters[call.count++];
    adapter.row_begin = i * share;
    adapter.row_end = i + 1 < count ? (i + 1) * share : shape.out_features;
    adapter.rank = shape.ranks[static_cast<size_t>(i)];
    adapter.column = column;
    adapter.scale = 0.75;
    adapter.db =
        memory.output<Compute<T>>(adapter.row_end - adapter.row_begin, adapter.rank, adapter.rank);
    column += adapter.rank;
  }
  call.s_stride = call.ds_stride = call.weight_stride = shape.border + shape.padding;
  call.s = border_input<T>(memory, shape.rows, shape.border, column, call.s_stride);
  call.weight_border =
      border_input<T>(memory, shape.out_features, shape.border, column, call.weight_stride);
  call.ds = memory.output<T>(shape.rows, shape.border, call.ds_stride);
  return call;
}

template struct Cases<float>;
template struct Cases<double>;
template struct Cases<BFloat16>;

}  // namespace radgpt::kernels
