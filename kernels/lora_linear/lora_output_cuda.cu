#include "kernels/lora_linear/adapter_launch.cuh"
#include "kernels/lora_linear/lora_output.cuh"

namespace radgpt::kernels {

namespace {

constexpr const char* kName = "lora_output_backward";

struct PartialSizes {
  int64_t ds;
  int64_t db;
};

PartialSizes partial_sizes(const LoraOutputBackward<BFloat16>& call,
                           const AdapterOutput<BFloat16>& adapter) {
  const int64_t columns = adapter.row_end - adapter.row_begin;
  return {column_blocks(adapter) * call.rows * adapter.rank,
          backward_row_blocks(call.rows) * columns * adapter.rank};
}

void check_adapter(const LoraOutputBackward<BFloat16>& call, int i) {
  const AdapterOutput<BFloat16>& adapter = call.adapters[i];
  check_multiple_of_8(kName, "row_begin", adapter.row_begin);
  check_multiple_of_8(kName, "row_end", adapter.row_end);
  require(adapter.row_begin < adapter.row_end && adapter.row_end <= call.out_features, kName,
          ": rows [", adapter.row_begin, ", ", adapter.row_end, ") are not among ",
          call.out_features);
  require(adapter.rank >= 1 && adapter.rank <= kMostRank && adapter.column >= 0 &&
              adapter.column + adapter.rank <= call.border,
          kName, ": rank ", adapter.rank, " at column ", adapter.column,
          " does not fit a border of ", call.border);
  for (int j = 0; j < i; ++j) {
    const AdapterOutput<BFloat16>& other = call.adapters[j];
    require(adapter.row_begin >= other.row_end || other.row_begin >= adapter.row_end, kName,
            ": rows [", adapter.row_begin, ", ", adapter.row_end, ") have two adapters");
  }
  check_array(kName, "dB", adapter.db, adapter.rank);
}

void check(const LoraOutputBackward<BFloat16>& call) {
  require(call.rows >= 0 && call.out_features > 0, kName,
          ": rows and out_features must be positive, got ", call.rows, " and ", call.out_features);
  check_multiple_of_8(kName, "out_features", call.out_features);
  check_array(kName, "dy", call.dy, call.rows);
  check_array(kName, "s", call.s, call.rows);
  check_array(kName, "ds", call.ds, call.rows);
  check_array(kName, "weight_border", call.weight_border, call.out_features);
  check_stride(kName, "s_stride", call.s_stride, call.border);
  check_stride(kName, "ds_stride", call.ds_stride, call.border);
  check_stride(kName, "weight_stride", call.weight_stride, call.border);
  require(call.count >= 1 && call.count <= kMostAdapters, kName, ": 1 to ", kMostAdapters,
          " adapters, got ", call.count);
  for (int i = 0; i < call.count; ++i) check_adapter(call, i);
}

}  // namespace

size_t lora_output_backward_workspace(const LoraOutputBackward<BFloat16>& call) {
  int64_t floats = 0;
  for (int i = 0; i < call.count; ++i) {
    const PartialSizes sizes = partial_sizes(call, call.adapters[i]);
    floats += sizes.ds + sizes.db;
  }
  return static_cast<size_t>(floats) * sizeof(float);
}

void lora_output_backward_cuda(const LoraOutputBackward<BFloat16>& call, Workspace workspace,
                               Stream stream) {
  check(call);
  check_workspace(kName, workspace, lora_output_backward_workspace(call));
  OutputPartials partials[kMostAdapters] = {};
  auto* next = static_cast<float*>(workspace.data);
  for (int i = 0; i < call.count; ++i) {
    const AdapterOutput<BFloat16>& adapter = call.adapters[i];
    const PartialSizes sizes = partial_sizes(call, adapter);
    partials[i] = {next, next + sizes.ds};
    next += sizes.ds + sizes.db;
    with_size<1, kMostRank / kTileRanks>(divide_up(adapter.rank, kTileRanks), [&](auto n) {
      launch(kName, lora_output_kernel<n()>,
             {.x = column_blocks(adapter), .y = backward_row_blocks(call.rows)}, kBlockThreads,
             stream, call, adapter, partials[i]);
    });
    sum_partials(partials[i].db, (adapter.row_end - adapter.row_begin) * adapter.rank,
                 backward_row_blocks(call.rows), static_cast<float>(adapter.scale), adapter.db,
                 stream);
  }
  launch(kName, finish_ds_kernel, {.x = divide_up(call.rows * call.border, kFinishThreads)},
         kFinishThreads, stream, call, partials[0], partials[1], partials[2]);
}

}  // namespace radgpt::kernels
