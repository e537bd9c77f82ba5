#pragma once

#include "benchmarks/kernels/attention_cases.h"
#include "benchmarks/kernels/kernel_cases.h"
#include "benchmarks/kernels/plain_loops.h"
#include "kernels/adamw/adamw.h"
#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/gemm/gemm.h"
#include "kernels/nf4/nf4.h"

// The kernels that are neither of an adapted linear layer nor of attention, and the list of all.

namespace radgpt::kernels {

template <typename T>
Case cross_entropy(Machine& machine, const Sizes& sizes) {
  const int64_t rows = std::min(sizes.rows, sizes.most_logits_rows), vocabulary = sizes.vocabulary;
  CaseMaker<T> maker(machine, sizes, "cross_entropy",
                     std::to_string(rows) + " x " + std::to_string(vocabulary));
  Buffers& buffers = maker.buffers();
  std::vector<int64_t> targets(rows);
  for (int64_t row = 0; row < rows; ++row) targets[row] = row * 7919 % vocabulary;
  const CrossEntropy<T> call{.rows = rows,
                             .vocabulary = vocabulary,
                             .logits = buffers.random<T>(rows * vocabulary, 8.0),
                             .stride = vocabulary,
                             .targets = buffers.copy_of(targets),
                             .factors = buffers.random<Compute<T>>(rows),
                             .log_probabilities = buffers.empty<Compute<T>>(rows)};
  maker.writes(call.logits, rows * vocabulary);
  maker.writes(call.log_probabilities, rows);
  maker.runs(
      call, [](const auto& c, auto stream) { cross_entropy_cuda(c, stream); },
      [](const auto& c, const Workers& workers) { cross_entropy_cpu(c, workers); });
  return maker.finish(4 * rows * vocabulary + 16 * rows);  // the second reading is from the cache
}

/// Of one tensor of the weight's shape, with its copy in bfloat16.
template <typename T>
Case adamw(Machine& machine, const Sizes& sizes) {
  CaseMaker<T> maker(machine, sizes, "adamw", "one tensor K x K");
  Buffers& buffers = maker.buffers();
  const int64_t k = maker.k, count = k * k;
  std::vector<TrainedTensor> tensors = {{.rows = k,
                                         .columns = k,
                                         .copy = buffers.empty<BFloat16>(count),
                                         .copy_stride = k,
                                         .decay = WeightDecay::kYes}};
  const int64_t blocks = number_blocks(tensors);
  const AdamW call{.beta2 = 0.99f,
                   .keep = 0.999f,
                   .rate = 0.02f,
                   .second_correction = 30.0f,
                   .gradient = buffers.random<float>(count, 0x1p-6),
                   .master = buffers.random<float>(count),
                   .first_moment = buffers.random<float>(count, 0x1p-6),
                   .second_moment = buffers.copy_of(std::vector<float>(count, 1e-4f)),
                   .tensors = {buffers.copy_of(tensors), 1, blocks}};
  maker.made.dtype = "fp32";
  for (const float* array : {call.master, call.first_moment, call.second_moment}) {
    maker.writes(array, count, kFloatRounding);
  }
  maker.writes(static_cast<const BFloat16*>(tensors[0].copy), count);
  maker.runs(
      call, [](const auto& c, auto stream) { adamw_cuda(c, stream); },
      [](const auto& c, const Workers& workers) { adamw_cpu(c, workers); }, adamw_plain);
  return maker.finish(30 * count);
}

template <typename T>
Case gradient_norm(Machine& machine, const Sizes& sizes) {
  CaseMaker<T> maker(machine, sizes, "gradient_norm", "K x K");
  const int64_t count = maker.k * maker.k;
  const float* values = maker.buffers().template random<float>(count);
  double* const norm = maker.buffers().template empty<double>(1);
  maker.made.dtype = "fp32";
  maker.writes(norm, 1, kFloatRounding);
  maker.runs(
      values,
      [=, &machine](const float* v, auto stream) {
        gradient_norm_cuda(v, count, norm, machine.workspace(gradient_norm_workspace(count)),
                           stream);
      },
      [=](const float* v, const Workers& workers) { *norm = gradient_norm_cpu(v, count, workers); },
      [=](const float* v) { *norm = norm_plain(v, count); });
  return maker.finish(4 * count);
}

template <typename T>
Nf4Weight nf4_weight(CaseMaker<T>& maker) {
  Buffers& buffers = maker.buffers();
  const std::array<float, 256> map = nf4_absmax_map();
  Nf4Weight weight{.rows = maker.n, .columns = maker.k};
  weight.codes = buffers.empty<uint8_t>(weight.values() / 2);
  weight.absmax_codes = buffers.empty<uint8_t>(weight.blocks());
  weight.absmax_scales = buffers.empty<float>(weight.absmax_blocks());
  weight.absmax_offset = buffers.empty<float>(1);
  weight.absmax_map = buffers.copy_of(std::vector<float>(map.begin(), map.end()));
  const T* source = buffers.random<T>(weight.values(), 0x1p-4);
  Machine& machine = maker.machine;
  maker.runs(
      weight,
      [source, &machine](const auto& w, auto stream) {
        nf4_quantise_cuda(source, w, machine.workspace(nf4_quantise_workspace(w)), stream);
      },
      [source](const auto& w, const Workers& workers) { nf4_quantise_cpu(source, w, workers); },
      [source](const auto& w) { nf4_quantise_plain(source, w); });
  return weight;
}

template <typename T>
Case nf4_quantise(Machine& machine, const Sizes& sizes) {
  CaseMaker<T> maker(machine, sizes, "nf4_quantise", "N x K");
  const Nf4Weight weight = nf4_weight(maker);
  maker.writes(weight.codes, weight.values() / 2, kFloatRounding);
  maker.writes(weight.absmax_codes, weight.blocks(), kFloatRounding);
  maker.writes(weight.absmax_scales, weight.absmax_blocks(), kFloatRounding);
  maker.writes(weight.absmax_offset, 1, kFloatRounding);
  return maker.finish(2 * weight.values() + weight.values() / 2 + weight.blocks());
}

template <typename T>
Case nf4_dequantise(Machine& machine, const Sizes& sizes) {
  CaseMaker<T> maker(machine, sizes, "nf4_dequantise", "N x K");
  const Nf4Weight weight = nf4_weight(maker);
  maker.made.run();
  Buffers& buffers = maker.buffers();
  const int64_t border = maker.border, stride = maker.k + border;
  const Nf4Dequantise call{.weight = weight,
                           .result = buffers.empty<BFloat16>(maker.n * stride),
                           .result_stride = stride,
                           .border = border,
                           .border_values = buffers.random<BFloat16>(maker.n * border)};
  maker.writes(call.result, maker.n * stride);
  maker.runs(
      call, [](const auto& c, auto stream) { nf4_dequantise_cuda(c, stream); },
      [](const auto& c, const Workers& workers) { nf4_dequantise_cpu(c, workers); },
      nf4_dequantise_plain);
  return maker.finish(weight.values() / 2 + weight.blocks() + 2 * maker.n * stride +
                      2 * maker.n * border);
}

/// [rows, inner] times [columns, inner]^T, or [inner, columns].
template <typename T>
Case gemm(Machine& machine, const Sizes& sizes, const std::string& variant,
          std::array<int64_t, 3> shape, Transpose transpose) {
  CaseMaker<T> maker(machine, sizes, "gemm", variant);
  Buffers& buffers = maker.buffers();
  const auto [rows, columns, inner] = shape;
  const int64_t b_stride = transpose == Transpose::kYes ? inner : columns;
  const Gemm<T> call{.m = rows,
                     .n = columns,
                     .k = inner,
                     .a = {buffers.random<T>(rows * inner), inner},
                     .b = {buffers.random<T>(columns * inner, 0x1p-5), b_stride, transpose},
                     .d = buffers.empty<T>(rows * columns),
                     .d_stride = columns};
  maker.writes(call.d, rows * columns);
  maker.runs(
      call,
      [](const auto& c, auto stream) {
        static DeviceGemm device;
        device.run(c, stream);
      },
      [](const auto& c, const Workers& workers) { gemm_cpu(c, workers); });
  return maker.finish(2 * (rows * inner + columns * inner + rows * columns),
                      2.0 * rows * columns * inner);
}

template <typename T>
Case gemm_frozen(Machine& machine, const Sizes& s) {
  return gemm<T>(machine, s, "X W^T", {s.rows, s.out, s.in}, Transpose::kYes);
}
template <typename T>
Case gemm_bordered(Machine& machine, const Sizes& s) {
  return gemm<T>(machine, s, "[X S] [W B]^T", {s.rows, s.out, s.in + s.border()}, Transpose::kYes);
}
template <typename T>
Case gemm_backward(Machine& machine, const Sizes& s) {
  return gemm<T>(machine, s, "dY W", {s.rows, s.in, s.out}, Transpose::kNo);
}

using MakeCase = Case (*)(Machine&, const Sizes&);

/// Those whose work depends on rank or dropout.
template <typename T>
std::vector<MakeCase> adapted_cases() {
  return {rms_norm_forward<T>,     rms_norm_forward_residual<T>,
          rms_norm_backward<T>,    rms_norm_backward_residual<T>,
          swiglu_forward<T>,       swiglu_backward<T>,
          lora_input_forward<T>,   lora_input_backward<T>,
          lora_output_backward<T>, nf4_dequantise<T>,
          gemm_bordered<T>};
}

template <typename T>
std::vector<MakeCase> all_cases() {
  std::vector<MakeCase> cases = adapted_cases<T>();
  for (const MakeCase other :
       {rms_norm_backward_dweight<T>, rope<T>, segment_attention_forward<T>,
        segment_attention_backward<T>, cache_store<T>, cached_attention<T>, cross_entropy<T>,
        adamw<T>, gradient_norm<T>, nf4_quantise<T>, gemm_frozen<T>, gemm_backward<T>}) {
    cases.push_back(other);
  }
  return cases;
}

}  // namespace radgpt::kernels
