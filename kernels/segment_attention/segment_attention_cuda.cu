#include "kernels/segment_attention/attention_launch.h"
#include "kernels/segment_attention/segment_attention_backward.cuh"
#include "kernels/segment_attention/segment_attention_forward.cuh"

namespace radgpt::kernels {

namespace {

void check_tiled(const char* who, const AttentionInput<BFloat16>& input,
                 const AttentionTile* tiles) {
  check_attention_input(who, input);
  require(input.slopes == nullptr || input.positions != nullptr, who, ": slopes need positions");
  check_array(who, "tiles", tiles, input.tokens);
}

}  // namespace

void segment_attention_forward_cuda(const SegmentAttentionForward<BFloat16>& call,
                                    const AttentionTile* tiles, int64_t tile_count, Stream stream) {
  constexpr const char* kWho = "segment_attention_forward";
  check_tiled(kWho, call.input, tiles);
  check_array(kWho, "out", call.out, call.input.tokens);
  with_width(call.input.head_dim, [&](auto width) {
    constexpr int kWidth = decltype(width)::value;
    const Grid grid{.x = tile_count,
                    .y = call.input.heads,
                    .shared_bytes = 3 * kTileWords<kWidth> * sizeof(uint32_t)};
    launch(kWho, segment_attention_forward_kernel<kWidth>, grid, kAttentionThreads, stream, call,
           tiles);
  });
}

size_t segment_attention_backward_workspace(const SegmentAttentionBackward<BFloat16>& call) {
  return call.input.heads * call.input.tokens * sizeof(float);
}

void segment_attention_backward_cuda(const SegmentAttentionBackward<BFloat16>& call,
                                     const AttentionTile* tiles, int64_t tile_count,
                                     Workspace workspace, Stream stream) {
  constexpr const char* kWho = "segment_attention_backward";
  check_tiled(kWho, call.input, tiles);
  check_array(kWho, "out", call.out, call.input.tokens);
  check_array(kWho, "d_out", call.d_out, call.input.tokens);
  check_array(kWho, "d_qkv", call.d_qkv, call.input.tokens);
  const size_t needed = segment_attention_backward_workspace(call);
  require(workspace.bytes >= needed, kWho, ": workspace must have ", needed, " bytes, got ",
          workspace.bytes);
  auto* means = static_cast<float*>(workspace.data);
  with_width(call.input.head_dim, [&](auto width) {
    constexpr int kWidth = decltype(width)::value;
    const Grid grid{.x = tile_count,
                    .y = call.input.heads,
                    .shared_bytes = 4 * kTileWords<kWidth> * sizeof(uint32_t)};
    launch("segment_attention_query_gradient", segment_attention_query_gradient_kernel<kWidth>,
           grid, kAttentionThreads, stream, call, tiles, means);
    launch("segment_attention_key_gradient", segment_attention_key_gradient_kernel<kWidth>, grid,
           kAttentionThreads, stream, call, tiles, means);
  });
}

}  // namespace radgpt::kernels
