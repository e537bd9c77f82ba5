#pragma once

#include <array>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "benchmarks/kernels/machine.h"
#include "kernels/lora_linear/lora_input.h"
#include "kernels/lora_linear/lora_output.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/swiglu/swiglu.h"
#include "libradgpt/base/philox.h"

namespace radgpt::kernels {

/// M rows of a linear layer from K to N features with an adapter.
struct Sizes {
  int64_t rows = 0, in = 0, out = 0, rank = 0;
  double dropout = 0;
  int64_t vocabulary = 125696;  ///< Baichuan2's
  int64_t most_logits_rows = 1024;

  int64_t border() const { return (rank + 15) / 16 * 16; }
};

/// Memory of one case.
class Buffers {
 public:
  explicit Buffers(Machine& machine) : machine_(machine) {}
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;
  ~Buffers() {
    for (void* memory : owned_) machine_.release(memory);
  }

  template <typename T>
  T* copy_of(const std::vector<T>& values) {
    T* memory = empty<T>(static_cast<int64_t>(values.size()));
    machine_.write(memory, values.data(), values.size() * sizeof(T));
    return memory;
  }
  template <typename T>
  T* empty(int64_t count) {
    owned_.push_back(machine_.allocate(static_cast<size_t>(count) * sizeof(T)));
    return static_cast<T*>(owned_.back());
  }
  /// Values of bfloat16 spread evenly over [-size, size), whatever T is; `size` is a power of two.
  template <typename T>
  T* random(int64_t count, double size = 1.0) {
    constexpr int64_t kPeriod = 65521;  // a prime: no row is like the next
    const auto seed = static_cast<uint32_t>(owned_.size());
    std::vector<T> period(std::min(kPeriod, count));
    for (int64_t i = 0; i < static_cast<int64_t>(period.size()); ++i) {
      const double word = philox({static_cast<uint32_t>(i), 0, 0, 0}, {seed, 5})[0] * 0x1p-31 - 1;
      period[i] = T(static_cast<float>(BFloat16(static_cast<float>(word * size))));
    }
    T* memory = empty<T>(count);
    machine_.write(memory, period.data(), period.size() * sizeof(T));
    machine_.repeat(memory, period.size() * sizeof(T), static_cast<size_t>(count) * sizeof(T));
    return memory;
  }
  Machine& machine() const { return machine_; }

 private:
  Machine& machine_;
  std::vector<void*> owned_;
};

/// What a kernel has written to one array.
struct Written {
  std::function<std::vector<double>()> values;
  double rounding = 0;  ///< what they may be off by
};

/// One kernel at one shape, ready to run.
struct Case {
  std::string kernel, variant, dtype = "bf16";
  double bytes = 0;       ///< that it must read and write
  double operations = 0;  ///< of its products, where they are most of its time
  std::function<void()> run;
  std::vector<Written> written;
  std::shared_ptr<Buffers> buffers;
};

/// What sums of bfloat16 may be off by, and what fp32 or codes made of fp32 may.
inline constexpr double kBFloat16Rounding = 0x1p-8, kFloatRounding = 0x1p-20;

/// Makes a case of a layer of m rows from k to n features. With T double it is the one by which
/// others are checked.
template <typename T>
class CaseMaker {
 public:
  CaseMaker(Machine& on, const Sizes& of, const std::string& kernel,
            const std::string& variant = "")
      : machine(on), sizes(of), m(of.rows), k(of.in), n(of.out), border(of.border()) {
    made.kernel = kernel;
    made.variant = variant;
    made.buffers = std::make_shared<Buffers>(on);
  }
  Buffers& buffers() { return *made.buffers; }

  template <typename Call, typename OnGpu, typename OnCpu>
  void runs(const Call& call, const OnGpu& on_gpu, const OnCpu& on_cpu) {
    Machine* const on = &machine;
    made.run = [=] { run_on<T>(*on, call, on_gpu, on_cpu); };
  }
  /// The same for kernels that know one type only: they are checked by plain(call).
  template <typename Call, typename OnGpu, typename OnCpu, typename Plain>
  void runs(const Call& call, const OnGpu& on_gpu, const OnCpu& on_cpu, const Plain& plain) {
    if constexpr (std::is_same_v<T, double>) {
      made.run = [=] { plain(call); };
    } else {
      runs(call, on_gpu, on_cpu);
    }
  }
  /// `rows` rows of `columns` values, one every `stride`.
  template <typename Out>
  void writes_rows(const Out* from, int64_t rows, int64_t columns, int64_t stride) {
    Machine* const on = &machine;
    const auto values = [=] {
      std::vector<Out> all((rows - 1) * stride + columns);
      on->read(all.data(), from, all.size() * sizeof(Out));
      std::vector<double> result;
      for (int64_t row = 0; row < rows; ++row) {
        const auto begin = all.begin() + row * stride;
        result.insert(result.end(), begin, begin + columns);
      }
      return result;
    };
    made.written.push_back({values, kBFloat16Rounding});
  }
  template <typename Out>
  void writes(const Out* from, int64_t count, double rounding = kBFloat16Rounding) {
    writes_rows(from, 1, count, count);
    made.written.back().rounding = rounding;
  }
  /// X and S of a forward call.
  template <typename Call>
  void writes_border(const Call& call) {
    writes_rows(call.y, m, k, call.y_stride);
    writes_rows(call.y + k, m, border, call.y_stride);
  }
  Case finish(int64_t bytes, double operations = 0) {
    made.bytes = static_cast<double>(bytes);
    made.operations = operations;
    return std::move(made);
  }

  AdapterInputs<T> adapter() {
    AdapterInputs<T> inputs;
    inputs.count = 1;
    AdapterInput<T>& input = inputs.adapters[0];
    input.a = buffers().template random<T>(sizes.rank * k, 0x1p-5);
    input.rank = sizes.rank;
    input.mask.key = {11, 12};
    input.mask.drop(sizes.dropout);
    return inputs;
  }
  AdapterGradients<T> gradients() {
    AdapterGradients<T> result;
    result.ds = buffers().template random<T>(m * border);
    result.ds_stride = border;
    result.da[0] = buffers().template empty<Compute<T>>(sizes.rank * k);
    writes(result.da[0], sizes.rank * k);
    return result;
  }
  /// Sizes and arrays that the three kernels before a linear layer have in common.
  template <typename Call>
  Call forward() {
    Call call;
    call.rows = m;
    call.columns = k;
    call.border = border;
    call.y_stride = k + border;
    call.y = buffers().template empty<T>(m * call.y_stride);
    call.inputs = adapter();
    return call;
  }
  template <typename Call>
  Call backward() {
    Call call;
    call.rows = m;
    call.columns = k;
    call.dy = buffers().template random<T>(m * k);
    call.dy_stride = k;
    call.inputs = adapter();
    call.gradients = gradients();
    return call;
  }
  /// Bytes of A, and of S or dS.
  int64_t adapter_bytes() const { return 2 * (sizes.rank * k + m * border); }

  Machine& machine;
  const Sizes& sizes;
  const int64_t m, k, n, border;
  Case made;
};

/// Whether the branch before is added to the residual stream on the way.
enum class Residual { kNo, kYes };

template <typename T>
RmsNormForward<T> rms_norm_forward_call(CaseMaker<T>& maker, Residual residual) {
  auto call = maker.template forward<RmsNormForward<T>>();
  call.x = maker.buffers().template random<T>(maker.m * maker.k);
  if (residual == Residual::kYes) {
    call.residual = maker.buffers().template random<T>(maker.m * maker.k);
    call.sum = maker.buffers().template empty<T>(maker.m * maker.k);
  }
  call.weight = maker.buffers().template random<T>(maker.k);
  call.inverse_rms = maker.buffers().template empty<Compute<T>>(maker.m);
  maker.runs(
      call, [](const auto& c, auto stream) { rms_norm_forward_cuda(c, stream); },
      [](const auto& c, const Workers& workers) { rms_norm_forward_cpu(c, workers); });
  return call;
}

template <typename T>
Case rms_norm_forward(CaseMaker<T> maker, Residual residual) {
  const RmsNormForward<T> call = rms_norm_forward_call(maker, residual);
  maker.writes_border(call);
  maker.writes(call.inverse_rms, maker.m);
  const bool adds = residual == Residual::kYes;
  if (adds) maker.writes(call.sum, maker.m * maker.k);
  return maker.finish((adds ? 8 : 4) * maker.m * maker.k + maker.adapter_bytes() + 4 * maker.m);
}

template <typename T>
Case rms_norm_forward(Machine& machine, const Sizes& sizes) {
  return rms_norm_forward<T>({machine, sizes, "rms_norm_forward"}, Residual::kNo);
}
template <typename T>
Case rms_norm_forward_residual(Machine& machine, const Sizes& sizes) {
  return rms_norm_forward<T>({machine, sizes, "rms_norm_forward", "residual"}, Residual::kYes);
}

template <typename T>
RmsNormBackward<T> rms_norm_backward_call(CaseMaker<T>& maker) {
  const RmsNormForward<T> forward = rms_norm_forward_call(maker, Residual::kNo);
  maker.made.run();
  auto call = maker.template backward<RmsNormBackward<T>>();
  call.x = forward.x;
  call.weight = forward.weight;
  call.inverse_rms = forward.inverse_rms;
  call.inputs = forward.inputs;
  call.s = forward.y + maker.k;
  call.s_stride = forward.y_stride;
  call.dx = maker.buffers().template empty<T>(maker.m * maker.k);
  maker.writes(call.dx, maker.m * maker.k);
  return call;
}

template <typename T>
void run_rms_norm_backward(CaseMaker<T>& maker, const RmsNormBackward<T>& call) {
  Machine& machine = maker.machine;
  maker.runs(
      call,
      [&machine](const auto& c, auto stream) {
        rms_norm_backward_cuda(c, machine.workspace(rms_norm_backward_workspace(c)), stream);
      },
      [](const auto& c, const Workers& workers) { rms_norm_backward_cpu(c, workers); });
}

template <typename T>
Case rms_norm_backward(CaseMaker<T> maker, Residual residual) {
  RmsNormBackward<T> call = rms_norm_backward_call(maker);
  const int64_t m = maker.m, k = maker.k;
  const bool adds = residual == Residual::kYes;
  if (adds) call.residual_gradient = maker.buffers().template random<T>(m * k);
  run_rms_norm_backward(maker, call);
  // x twice: for dx, and for dA, which the kernel takes after the sums of the rows.
  return maker.finish((adds ? 10 : 8) * m * k + 2 * maker.adapter_bytes() +
                      4 * maker.sizes.rank * k);
}

template <typename T>
Case rms_norm_backward(Machine& machine, const Sizes& sizes) {
  return rms_norm_backward<T>({machine, sizes, "rms_norm_backward"}, Residual::kNo);
}
template <typename T>
Case rms_norm_backward_residual(Machine& machine, const Sizes& sizes) {
  return rms_norm_backward<T>({machine, sizes, "rms_norm_backward", "residual"}, Residual::kYes);
}

/// As full-parameter training runs it: no adapters, but a gradient of the norm's weight.
template <typename T>
Case rms_norm_backward_dweight(Machine& machine, const Sizes& sizes) {
  CaseMaker<T> maker(machine, sizes, "rms_norm_backward", "dweight");
  RmsNormBackward<T> call = rms_norm_backward_call(maker);
  call.inputs = {};
  call.gradients = {};
  maker.made.written.clear();
  call.dweight = maker.buffers().template empty<Compute<T>>(maker.k);
  maker.writes(call.dx, maker.m * maker.k);
  maker.writes(call.dweight, maker.k);
  run_rms_norm_backward(maker, call);
  return maker.finish(10 * maker.m * maker.k);  // x and dy twice
}

template <typename T>
Case swiglu_forward(Machine& machine, const Sizes& sizes) {
  CaseMaker<T> maker(machine, sizes, "swiglu_forward");
  auto call = maker.template forward<SwigluForward<T>>();
  call.gate_up = maker.buffers().template random<T>(2 * maker.m * maker.k, 4.0);
  maker.writes_border(call);
  maker.runs(
      call, [](const auto& c, auto stream) { swiglu_forward_cuda(c, stream); },
      [](const auto& c, const Workers& workers) { swiglu_forward_cpu(c, workers); });
  return maker.finish(6 * maker.m * maker.k + maker.adapter_bytes());
}

template <typename T>
Case swiglu_backward(Machine& machine, const Sizes& sizes) {
  CaseMaker<T> maker(machine, sizes, "swiglu_backward");
  auto call = maker.template backward<SwigluBackward<T>>();
  call.gate_up = maker.buffers().template random<T>(2 * maker.m * maker.k, 4.0);
  call.d_gate_up = maker.buffers().template empty<T>(2 * maker.m * maker.k);
  maker.writes(call.d_gate_up, 2 * maker.m * maker.k);
  maker.runs(
      call,
      [&machine](const auto& c, auto stream) {
        swiglu_backward_cuda(c, machine.workspace(swiglu_backward_workspace(c)), stream);
      },
      [](const auto& c, const Workers& workers) { swiglu_backward_cpu(c, workers); });
  return maker.finish(10 * maker.m * maker.k + maker.adapter_bytes() + 4 * sizes.rank * maker.k);
}

template <typename T>
Case lora_input_forward(Machine& machine, const Sizes& sizes) {
  CaseMaker<T> maker(machine, sizes, "lora_input_forward");
  auto call = maker.template forward<LoraInputForward<T>>();
  call.x = maker.buffers().template random<T>(maker.m * maker.k);
  maker.writes_border(call);
  maker.runs(
      call, [](const auto& c, auto stream) { lora_input_forward_cuda(c, stream); },
      [](const auto& c, const Workers& workers) { lora_input_forward_cpu(c, workers); });
  return maker.finish(4 * maker.m * maker.k + maker.adapter_bytes());
}

template <typename T>
Case lora_input_backward(Machine& machine, const Sizes& sizes) {
  CaseMaker<T> maker(machine, sizes, "lora_input_backward");
  auto call = maker.template backward<LoraInputBackward<T>>();
  call.x = maker.buffers().template random<T>(maker.m * maker.k);
  call.dx = maker.buffers().template empty<T>(maker.m * maker.k);
  maker.writes(call.dx, maker.m * maker.k);
  maker.runs(
      call,
      [&machine](const auto& c, auto stream) {
        lora_input_backward_cuda(c, machine.workspace(lora_input_backward_workspace(c)), stream);
      },
      [](const auto& c, const Workers& workers) { lora_input_backward_cpu(c, workers); });
  return maker.finish(6 * maker.m * maker.k + maker.adapter_bytes() + 4 * sizes.rank * maker.k);
}

template <typename T>
Case lora_output_backward(Machine& machine, const Sizes& sizes) {
  CaseMaker<T> maker(machine, sizes, "lora_output_backward");
  Buffers& buffers = maker.buffers();
  const int64_t m = maker.m, n = maker.n, border = maker.border;
  LoraOutputBackward<T> call;
  call.rows = m;
  call.out_features = n;
  call.dy = buffers.random<T>(m * n);
  call.s = buffers.random<T>(m * border);
  call.s_stride = call.border = call.weight_stride = call.ds_stride = border;
  call.weight_border = buffers.random<T>(n * border, 0x1p-5);
  call.ds = buffers.empty<T>(m * border);
  call.count = 1;
  call.adapters[0] = {0, n, sizes.rank, 0, 1.0, buffers.empty<Compute<T>>(n * sizes.rank)};
  maker.writes(call.ds, m * border);
  maker.writes(call.adapters[0].db, n * sizes.rank);
  maker.runs(
      call,
      [&machine](const auto& c, auto stream) {
        lora_output_backward_cuda(c, machine.workspace(lora_output_backward_workspace(c)), stream);
      },
      [](const auto& c, const Workers& workers) { lora_output_backward_cpu(c, workers); });
  return maker.finish(2 * m * n + 4 * m * border + 2 * n * border + 4 * n * sizes.rank);
}

}  // namespace radgpt::kernels
