#pragma once

#include <algorithm>
#include <bit>

#include "kernels/lora_linear/adapter_sizes.cuh"
#include "kernels/lora_linear/bordered_input.cuh"
#include "kernels/lora_linear/input_backward.cuh"
#include "kernels/lora_linear/sum_partials.cuh"
#include "kernels/primitives/stream.h"

namespace radgpt::kernels {

// What the launchers of the input kernels (RMSNorm, SwiGLU, plain) share. Host code.

/// Checks what every forward call has: rows, columns, y, y_stride, border, inputs.
template <typename Call>
void check_bordered_output(const char* who, const Call& call) {
  require(call.rows >= 0 && call.columns > 0, who, ": rows and columns must be positive, got ",
          call.rows, " and ", call.columns);
  check_multiple_of_8(who, "columns", call.columns);
  check_multiple_of_8(who, "border", call.border);
  check_stride(who, "y_stride", call.y_stride, call.columns + call.border);
  check_array(who, "y", call.y, call.rows);
  check_adapters(who, call.inputs);
  for (int i = 0; i < call.inputs.count; ++i) {
    const AdapterInput<BFloat16>& adapter = call.inputs.adapters[i];
    require(adapter.column >= 0 && adapter.column + adapter.rank <= call.border, who, ": columns [",
            adapter.column, ", ", adapter.column + adapter.rank,
            ") of an adapter are not in a border of ", call.border);
  }
}

/// Checks what every backward call has: rows, columns, dy, dy_stride, inputs, gradients.
template <typename Call>
void check_input_backward(const char* who, const Call& call, const void* source_gradient) {
  require(call.rows >= 0 && call.columns > 0, who, ": rows and columns must be positive, got ",
          call.rows, " and ", call.columns);
  check_multiple_of_8(who, "columns", call.columns);
  if (call.dy != nullptr) check_stride(who, "dy_stride", call.dy_stride, call.columns);
  // Of a call without rows any array may be null, as LibTorch's empty tensors are.
  require(call.rows == 0 || (call.dy == nullptr) == (source_gradient == nullptr), who,
          ": dy and the gradient made from it come together");
  check_aligned(who, "dy", call.dy);
  check_aligned(who, "the gradient", source_gradient);
  check_adapters(who, call.inputs);
  for (int i = 0; i < call.inputs.count; ++i) {
    const AdapterInput<BFloat16>& adapter = call.inputs.adapters[i];
    require(adapter.column >= 0, who, ": an adapter stands at column ", adapter.column);
    check_array(who, "dS", call.gradients.ds, call.rows);
    check_stride(who, "ds_stride", call.gradients.ds_stride, adapter.column + adapter.rank);
    check_aligned(who, "dA", call.gradients.da[i]);
  }
}

template <typename T>
int64_t da_partials(int64_t rows, int64_t columns, const AdapterInput<T>& adapter) {
  return backward_row_blocks(rows) * adapter.rank * columns;
}

template <typename Call>
bool wants_da(const Call& call) {
  return std::any_of(call.gradients.da, call.gradients.da + call.inputs.count,
                     [](const float* da) { return da != nullptr; });
}

/// Bytes of the partial sums of dA.
template <typename Call>
size_t da_workspace(const Call& call) {
  int64_t floats = 0;
  for (int i = 0; i < call.inputs.count; ++i) {
    if (call.gradients.da[i] == nullptr) continue;
    floats += da_partials(call.rows, call.columns, call.inputs.adapters[i]);
  }
  return static_cast<size_t>(floats) * sizeof(float);
}

inline void check_workspace(const char* who, const Workspace& workspace, size_t needed) {
  require(workspace.bytes >= needed, who, ": workspace must have ", needed, " bytes, got ",
          workspace.bytes);
  require(workspace.data != nullptr || needed == 0, who, ": workspace must not be null");
  require(reinterpret_cast<uintptr_t>(workspace.data) % 256 == 0, who,
          ": workspace must be aligned to 256 bytes, got address ", workspace.data);
}

/// What input_backward needs of a call, partial sums of dA in the workspace.
template <typename Call>
InputBackward input_backward_of(const Call& call, const Workspace& workspace) {
  InputBackward backward{call.rows,         static_cast<int>(call.columns), call.dy, call.dy_stride,
                         call.gradients.ds, call.gradients.ds_stride,       {}};
  auto* next = static_cast<float*>(workspace.data);
  for (int i = 0; i < call.inputs.count; ++i) {
    if (call.gradients.da[i] == nullptr) continue;
    backward.partial[i] = next;
    next += da_partials(call.rows, call.columns, call.inputs.adapters[i]);
  }
  return backward;
}

inline Grid input_backward_grid(int64_t rows, int64_t columns) {
  return {.x = divide_up(columns, kBlockColumns), .y = backward_row_blocks(rows)};
}

/// Adds up the partial sums of dA; of a call without rows that is zero.
template <typename Call>
void finish_da(const Call& call, const InputBackward& backward, Stream stream) {
  for (int i = 0; i < call.inputs.count; ++i) {
    if (call.gradients.da[i] == nullptr) continue;
    sum_partials(backward.partial[i], call.inputs.adapters[i].rank * call.columns,
                 backward_row_blocks(call.rows), 1.0f, call.gradients.da[i], stream);
  }
}

/// Calls f with the sizes of the adapters if they fit one launch of a backward kernel, and returns
/// whether they do.
template <typename F>
bool with_backward_sizes(const AdapterInputs<BFloat16>& inputs, F&& f) {
  bool fits = false;
  with_adapter_sizes(inputs, [&](auto adapters, auto tiles) {
    if constexpr (adapters() * tiles() <= kMostBackwardTiles) {
      fits = true;
      f(adapters, tiles);
    }
  });
  return fits;
}

/// Refuses adapters that do not fit one launch of a backward kernel.
inline void check_backward_sizes(const char* who, const AdapterInputs<BFloat16>& inputs) {
  if (with_backward_sizes(inputs, [](auto, auto) {})) return;
  const auto most_tiles = std::bit_floor(static_cast<unsigned>(kMostBackwardTiles / inputs.count));
  fail(ErrorKind::kInput, who, ": ", inputs.count, " adapters of one input may have ",
       most_tiles * kTileRanks, " ranks each on a GPU");
}

/// Launches a forward kernel: `kernel(adapters, tiles)` is its instance for those sizes.
template <typename Call, typename Kernel>
void launch_bordered(const char* who, const Call& call, Stream stream, Kernel kernel) {
  with_adapter_sizes(call.inputs, [&](auto adapters, auto tiles) {
    const Grid grid{.x = divide_up(call.rows, kRowsPerBlock),
                    .shared_bytes = bordered_shared_bytes(adapters(), tiles())};
    launch(who, kernel(adapters, tiles), grid, kBlockThreads, stream, call);
  });
}

}  // namespace radgpt::kernels
