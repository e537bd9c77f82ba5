#include "kernels/nf4/nf4.cuh"
#include "kernels/primitives/checks.h"

namespace radgpt::kernels {

namespace {

void check_weight(const char* who, const Nf4Weight& weight) {
  require(weight.rows >= 0, who, ": rows must not be negative, got ", weight.rows);
  check_multiple_of_8(who, "columns", weight.columns);
  require(weight.values() / 8 <= INT32_MAX, who, ": too many values: ", weight.rows, " x ",
          weight.columns);
  check_array(who, "codes", weight.codes, weight.values());
  check_array(who, "absmax_codes", weight.absmax_codes, weight.values());
  check_array(who, "absmax_scales", weight.absmax_scales, weight.values());
}

}  // namespace

size_t nf4_quantise_workspace(const Nf4Weight& weight) {
  return static_cast<size_t>(weight.blocks()) * sizeof(float);
}

template <typename T>
void nf4_quantise_cuda(const T* source, const Nf4Weight& weight, Workspace workspace,
                       Stream stream) {
  const char* who = "nf4_quantise";
  check_weight(who, weight);
  check_array(who, "source", source, weight.values());
  require(workspace.bytes >= nf4_quantise_workspace(weight), who, ": needs a workspace of ",
          nf4_quantise_workspace(weight), " bytes, got ", workspace.bytes);
  if (weight.values() == 0) return;
  auto* absmax = static_cast<float*>(workspace.data);
  launch(who, nf4_codes_kernel<T>, Grid{.x = divide_up(weight.values(), 8 * kNf4Threads)},
         kNf4Threads, stream, source, weight.values(), weight.codes, absmax);
  launch(who, nf4_offset_kernel, Grid{}, kNf4Threads, stream, absmax, weight.blocks(),
         weight.absmax_offset);
  launch(who, nf4_absmax_kernel, Grid{.x = weight.absmax_blocks()}, kNf4Threads, stream, absmax,
         weight);
}

template void nf4_quantise_cuda(const float*, const Nf4Weight&, Workspace, Stream);
template void nf4_quantise_cuda(const BFloat16*, const Nf4Weight&, Workspace, Stream);

void nf4_dequantise_cuda(const Nf4Dequantise& call, Stream stream) {
  const char* who = "nf4_dequantise";
  check_weight(who, call.weight);
  check_multiple_of_8(who, "border", call.border);
  check_multiple_of_8(who, "result_stride", call.result_stride);
  require(call.result_stride >= call.weight.columns + call.border, who,
          ": result_stride must be at least ", call.weight.columns + call.border, ", got ",
          call.result_stride);
  check_array(who, "result", call.result, call.weight.values());
  check_array(who, "border_values", call.border_values, call.weight.rows * call.border);
  const int64_t value_blocks = divide_up(call.weight.values(), 8 * kNf4GroupsPerBlock);
  const int64_t border_blocks = divide_up(call.weight.rows * call.border, 8 * kNf4GroupsPerBlock);
  launch(who, nf4_dequantise_kernel, Grid{.x = value_blocks + border_blocks}, kNf4Threads, stream,
         call, static_cast<uint32_t>(value_blocks));
}

}  // namespace radgpt::kernels
