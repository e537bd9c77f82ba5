#pragma once

#include "benchmarks/kernels/kernel_cases.h"

// The kernels that are not of an adapted linear layer.

namespace radgpt::kernels {

inline constexpr int64_t kHeadDim = 128;
inline constexpr int32_t kSegment = 1024;  ///< tokens of each segment of the pack

/// Of a pack of such segments.
inline std::vector<int64_t> positions(int64_t tokens) {
  std::vector<int64_t> result(tokens);
  for (int64_t token = 0; token < tokens; ++token) result[token] = token % kSegment;
  return result;
}

template <typename T>
Case rope(Machine& machine, const Sizes& sizes) {
  CaseMaker<T> maker(machine, sizes, "rope", "head_dim 128");
  Buffers& buffers = maker.buffers();
  const int64_t m = maker.m, k = maker.k, half = kHeadDim / 2;
  const Rope<T> call{.tokens = m,
                     .heads = k / kHeadDim,
                     .head_dim = kHeadDim,
                     .qkv = buffers.random<T>(3 * m * k),
                     .stride = 3 * k,
                     .positions = buffers.copy_of(positions(m)),
                     .cosines = buffers.random<float>(kSegment * half),
                     .sines = buffers.random<float>(kSegment * half)};
  maker.writes(call.qkv, 3 * m * k);
  maker.runs(
      call, [](const auto& c, auto stream) { rope_cuda(c, stream); },
      [](const auto& c, const Workers& workers) { rope_cpu(c, workers); });
  return maker.finish(8 * m * k + m * (8 + 4 * kHeadDim));
}

/// A pack of segments without prefixes.
struct BenchmarkPack {
  std::vector<AttentionGroup> groups;
  std::vector<AttentionTile> tiles;
  double pairs = 0;  ///< of a query and a key that it sees

  explicit BenchmarkPack(int64_t tokens) {
    std::vector<Segment> segments;
    for (int32_t begin = 0; begin < tokens; begin += kSegment) {
      const auto end = static_cast<int32_t>(std::min<int64_t>(tokens, begin + kSegment));
      segments.push_back({begin, end, 0, 0});
      pairs += 0.5 * (end - begin) * (end - begin + 1);
    }
    groups = group_segments(segments, tokens);
    tiles = make_attention_tiles(groups);
  }
};

template <typename T>
SegmentAttentionForward<T> segment_attention_call(CaseMaker<T>& maker, const BenchmarkPack& pack) {
  Buffers& buffers = maker.buffers();
  SegmentAttentionForward<T> call;
  call.input.tokens = maker.m;
  call.input.heads = maker.k / kHeadDim;
  call.input.head_dim = kHeadDim;
  call.input.qkv = buffers.random<T>(3 * maker.m * maker.k);
  call.input.positions = buffers.copy_of(positions(maker.m));
  call.out = buffers.empty<T>(maker.m * maker.k);
  call.log_sums = buffers.empty<Compute<T>>(maker.m * call.input.heads);
  const AttentionTile* tiles = buffers.copy_of(pack.tiles);
  const auto count = static_cast<int64_t>(pack.tiles.size());
  maker.runs(
      call,
      [=](const auto& c, auto stream) { segment_attention_forward_cuda(c, tiles, count, stream); },
      [groups = pack.groups](const auto& c, const Workers& workers) {
        segment_attention_forward_cpu(c, groups, workers);
      });
  return call;
}

template <typename T>
Case segment_attention_forward(Machine& machine, const Sizes& sizes) {
  CaseMaker<T> maker(machine, sizes, "segment_attention_forward", "segments of 1024");
  const BenchmarkPack pack(sizes.rows);
  const SegmentAttentionForward<T> call = segment_attention_call(maker, pack);
  maker.writes(call.out, maker.m * maker.k);
  maker.writes(call.log_sums, maker.m * call.input.heads);
  const auto width = static_cast<double>(maker.k);
  return maker.finish(8 * maker.m * maker.k + 4 * maker.m * call.input.heads,
                      4 * width * pack.pairs);
}

template <typename T>
Case segment_attention_backward(Machine& machine, const Sizes& sizes) {
  CaseMaker<T> maker(machine, sizes, "segment_attention_backward", "segments of 1024");
  const BenchmarkPack pack(sizes.rows);
  const SegmentAttentionForward<T> forward = segment_attention_call(maker, pack);
  maker.made.run();
  Buffers& buffers = maker.buffers();
  const SegmentAttentionBackward<T> call{forward.input, forward.log_sums, forward.out,
                                         buffers.random<T>(maker.m * maker.k),
                                         buffers.empty<T>(3 * maker.m * maker.k)};
  const AttentionTile* tiles = buffers.copy_of(pack.tiles);
  const auto count = static_cast<int64_t>(pack.tiles.size());
  maker.writes(call.d_qkv, 3 * maker.m * maker.k);
  maker.runs(
      call,
      [=, &machine](const auto& c, auto stream) {
        segment_attention_backward_cuda(
            c, tiles, count, machine.workspace(segment_attention_backward_workspace(c)), stream);
      },
      [groups = pack.groups](const auto& c, const Workers& workers) {
        segment_attention_backward_cpu(c, groups, workers);
      });
  const auto width = static_cast<double>(maker.k);
  return maker.finish(16 * maker.m * maker.k + 4 * maker.m * forward.input.heads,
                      10 * width * pack.pairs);
}

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
  maker.made.rounding = 0x1p-20;
  maker.writes(call.master, count);
  maker.writes(call.second_moment, count);
  maker.writes(static_cast<const BFloat16*>(tensors[0].copy), count);
  maker.runs(
      call, [](const auto& c, auto stream) { adamw_cuda(c, stream); },
      [](const auto& c, const Workers& workers) { adamw_cpu(c, workers); });
  return maker.finish(30 * count);
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
      [source](const auto& w, const Workers& workers) { nf4_quantise_cpu(source, w, workers); });
  return weight;
}

template <typename T>
Case nf4_quantise(Machine& machine, const Sizes& sizes) {
  CaseMaker<T> maker(machine, sizes, "nf4_quantise", "N x K");
  const Nf4Weight weight = nf4_weight(maker);
  maker.made.rounding = 0x1p-20;
  maker.writes(weight.codes, weight.values() / 2);
  maker.writes(weight.absmax_codes, weight.blocks());
  maker.writes(weight.absmax_scales, weight.absmax_blocks());
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
      [](const auto& c, const Workers& workers) { nf4_dequantise_cpu(c, workers); });
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

/// All of them.
template <typename T>
std::vector<Case (*)(Machine&, const Sizes&)> all_cases() {
  return {rms_norm_forward<T>,
          rms_norm_backward<T>,
          swiglu_forward<T>,
          swiglu_backward<T>,
          lora_input_forward<T>,
          lora_input_backward<T>,
          lora_output_backward<T>,
          rope<T>,
          segment_attention_forward<T>,
          segment_attention_backward<T>,
          cross_entropy<T>,
          adamw<T>,
          nf4_quantise<T>,
          nf4_dequantise<T>,
          gemm_frozen<T>,
          gemm_bordered<T>,
          gemm_backward<T>};
}

}  // namespace radgpt::kernels
