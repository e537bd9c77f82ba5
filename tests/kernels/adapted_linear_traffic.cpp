#include "tests/kernels/adapted_linear_traffic.h"

#include <set>
#include <vector>

#include "kernels/lora_linear/lora_input.h"
#include "kernels/lora_linear/lora_output.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/swiglu/swiglu.h"

namespace radgpt::kernels {

namespace {

/// Buffers of one pass; the values do not matter.
class Pass {
 public:
  const BFloat16* activation(const std::string& name, int64_t count) {
    activations_.insert(name);
    return input<BFloat16>(name, count);
  }
  BFloat16* activation_output(const std::string& name, int64_t count) {
    activations_.insert(name);
    return memory_.output<BFloat16>(name, count);
  }
  template <typename T>
  const T* input(const std::string& name, int64_t count) {
    return memory_.input(name, std::vector<T>(static_cast<size_t>(count), T(1.0f)));
  }
  template <typename T>
  T* output(const std::string& name, int64_t count) {
    return memory_.output<T>(name, count);
  }
  Workspace workspace(size_t bytes) {
    const std::string name = "workspace " + std::to_string(++workspaces_);
    return {memory_.output<unsigned char>(name, static_cast<int64_t>(bytes)), bytes};
  }
  PassTraffic traffic() const {
    PassTraffic sum;
    for (const simt::Launch& launch : memory_.launches()) {
      for (const auto& [name, traffic] : launch.buffers) {
        const int64_t distinct = traffic.distinct.read + traffic.distinct.written;
        if (activations_.contains(name)) {
          sum.activations += distinct;
          sum.activation_requests += traffic.requested.read + traffic.requested.written;
        } else {
          sum.adapter += distinct;
        }
      }
    }
    return sum;
  }

 private:
  simt::Memory memory_;
  std::set<std::string> activations_;
  int workspaces_ = 0;
};

int64_t border_of(const LinearShape& shape) { return (shape.rank + 15) / 16 * 16; }

AdapterInputs<BFloat16> adapter(Pass& pass, const LinearShape& shape) {
  AdapterInputs<BFloat16> inputs;
  if (shape.rank == 0) return inputs;
  inputs.count = 1;
  AdapterInput<BFloat16>& input = inputs.adapters[0];
  input.a = pass.input<BFloat16>("a", shape.rank * shape.in);
  input.rank = shape.rank;
  input.mask.drop(shape.dropout);
  return inputs;
}

template <typename Call>
void fill_forward(Call& call, Pass& pass, const LinearShape& shape) {
  call.rows = shape.rows;
  call.columns = shape.in;
  call.border = border_of(shape);
  call.y_stride = shape.in + call.border;
  call.y = pass.activation_output("y", shape.rows * call.y_stride);
  call.inputs = adapter(pass, shape);
}

template <typename Call>
void fill_backward(Call& call, Pass& pass, const LinearShape& shape) {
  call.rows = shape.rows;
  call.columns = shape.in;
  call.dy = pass.activation("dx0", shape.rows * shape.in);
  call.dy_stride = shape.in;
  call.inputs = adapter(pass, shape);
  if (shape.rank == 0) return;
  call.gradients.ds = pass.input<BFloat16>("ds", shape.rows * border_of(shape));
  call.gradients.ds_stride = border_of(shape);
  call.gradients.da[0] = pass.output<float>("da", shape.rank * shape.in);
}

PassTraffic forward(const LinearShape& shape) {
  Pass pass;
  if (shape.input == LinearInput::kRmsNorm) {
    RmsNormForward<BFloat16> call;
    fill_forward(call, pass, shape);
    call.x = pass.activation("x", shape.rows * shape.in);
    call.weight = pass.input<BFloat16>("weight", shape.in);
    call.inverse_rms = pass.output<float>("inverse_rms", shape.rows);
    rms_norm_forward_cuda(call, nullptr);
  } else if (shape.input == LinearInput::kSwiglu) {
    SwigluForward<BFloat16> call;
    fill_forward(call, pass, shape);
    call.gate_up = pass.activation("gate_up", 2 * shape.rows * shape.in);
    swiglu_forward_cuda(call, nullptr);
  } else if (shape.rank > 0) {
    LoraInputForward<BFloat16> call;
    fill_forward(call, pass, shape);
    call.x = pass.activation("x", shape.rows * shape.in);
    lora_input_forward_cuda(call, nullptr);
  }
  return pass.traffic();
}

void output_backward(Pass& pass, const LinearShape& shape) {
  LoraOutputBackward<BFloat16> call;
  call.rows = shape.rows;
  call.out_features = shape.out;
  call.dy = pass.activation("dy", shape.rows * shape.out);
  call.border = border_of(shape);
  call.s = pass.input<BFloat16>("s of dB", shape.rows * call.border);
  call.s_stride = call.border;
  call.weight_border = pass.input<BFloat16>("b", shape.out * call.border);
  call.weight_stride = call.border;
  call.ds = pass.output<BFloat16>("new ds", shape.rows * call.border);
  call.ds_stride = call.border;
  call.count = 1;
  call.adapters[0] = {0, shape.out, shape.rank,
                      0, 1.0,       pass.output<float>("db", shape.out * shape.rank)};
  lora_output_backward_cuda(call, pass.workspace(lora_output_backward_workspace(call)), nullptr);
}

PassTraffic backward(const LinearShape& shape) {
  Pass pass;
  if (shape.rank > 0) output_backward(pass, shape);
  if (shape.input == LinearInput::kRmsNorm) {
    RmsNormBackward<BFloat16> call;
    fill_backward(call, pass, shape);
    call.x = pass.activation("x", shape.rows * shape.in);
    call.weight = pass.input<BFloat16>("weight", shape.in);
    call.inverse_rms = pass.input<float>("inverse_rms", shape.rows);
    call.s = pass.input<BFloat16>("s", shape.rows * border_of(shape));
    call.s_stride = border_of(shape);
    call.dx = pass.activation_output("dx", shape.rows * shape.in);
    rms_norm_backward_cuda(call, pass.workspace(rms_norm_backward_workspace(call)), nullptr);
  } else if (shape.input == LinearInput::kSwiglu) {
    SwigluBackward<BFloat16> call;
    fill_backward(call, pass, shape);
    call.gate_up = pass.activation("gate_up", 2 * shape.rows * shape.in);
    call.d_gate_up = pass.activation_output("d_gate_up", 2 * shape.rows * shape.in);
    swiglu_backward_cuda(call, pass.workspace(swiglu_backward_workspace(call)), nullptr);
  } else if (shape.rank > 0) {
    LoraInputBackward<BFloat16> call;
    fill_backward(call, pass, shape);
    call.x = pass.activation("x", shape.rows * shape.in);
    call.dx = pass.activation_output("dx", shape.rows * shape.in);
    lora_input_backward_cuda(call, pass.workspace(lora_input_backward_workspace(call)), nullptr);
  }
  return pass.traffic();
}

}  // namespace

PassTraffic& PassTraffic::operator-=(const PassTraffic& other) {
  activations -= other.activations;
  activation_requests -= other.activation_requests;
  adapter -= other.adapter;
  return *this;
}

LinearTraffic linear_traffic(const LinearShape& shape) { return {forward(shape), backward(shape)}; }

LinearTraffic adapter_traffic(const LinearShape& shape) {
  LinearShape without = shape;
  without.rank = 0;
  LinearTraffic extra = linear_traffic(shape);
  const LinearTraffic frozen = linear_traffic(without);
  extra.forward -= frozen.forward;
  extra.backward -= frozen.backward;
  const int64_t s = 2 * shape.rows * border_of(shape);
  extra.forward.activations -= s;
  extra.forward.adapter += s;
  return extra;
}

AdapterBytes adapter_formula(const LinearShape& shape) {
  const int64_t row_blocks = (shape.rows + 511) / 512, column_blocks = (shape.out + 255) / 256;
  const int64_t s = 2 * shape.rows * border_of(shape), b = 2 * shape.out * border_of(shape);
  const int64_t a = 2 * shape.in * shape.rank;
  // dS and dB: partial sums of blocks of columns and of rows are written and read.
  const int64_t output =
      2 * s + b +
      shape.rank * (8 * (column_blocks * shape.rows + row_blocks * shape.out) + 4 * shape.out);
  const int64_t input = s + a + shape.rank * shape.in * (8 * row_blocks + 4);  // dS, A; dA likewise
  // dx and dA in a pass each over x: the second one reads dS, weight and 1 / rms again, the first
  // S.
  const int64_t norm =
      shape.input == LinearInput::kRmsNorm ? 2 * s + 2 * shape.in + 4 * shape.rows : 0;
  return {a + s, output + input + norm};
}

}  // namespace radgpt::kernels
