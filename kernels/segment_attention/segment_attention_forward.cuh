#pragma once

#include "kernels/segment_attention/attention_products.cuh"

namespace radgpt::kernels {

/// Replaces products q . k by exp(score - largest), for the keys of one range that were not seen
/// before, and brings what was summed up to now to the new largest score.
template <int kWidth>
RADGPT_DEVICE void softmax_step(float (&scores)[kTileBlocks][4], float (&largest)[2],
                                float (&sums)[2], float (&out)[kWidth / 8][4]) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float top = largest[half];
#pragma unroll
    for (int n = 0; n < kTileBlocks; ++n) {
      top = fmaxf(top, fmaxf(scores[n][2 * half], scores[n][2 * half + 1]));
    }
    top = fmaxf(top, shuffle_xor(top, 1));
    top = fmaxf(top, shuffle_xor(top, 2));
    const float factor = expf(largest[half] - top);
    largest[half] = top;
    sums[half] *= factor;
#pragma unroll
    for (int n = 0; n < kWidth / 8; ++n) {
      out[n][2 * half] *= factor;
      out[n][2 * half + 1] *= factor;
    }
#pragma unroll
    for (int n = 0; n < kTileBlocks; ++n) {
#pragma unroll
      for (int i = 2 * half; i < 2 * half + 2; ++i) {
        scores[n][i] = expf(scores[n][i] - top);
        sums[half] += scores[n][i];
      }
    }
  }
}

// One block per tile of queries and head. Scores and their exponentials never leave the registers;
// the values are on their way while the scores are made.
template <int kWidth>
RADGPT_KERNEL(kAttentionThreads, 3)
void segment_attention_forward_kernel(SegmentAttentionForward<BFloat16> call,
                                      const AttentionTile* tiles) {
  RADGPT_DYNAMIC_SHARED(uint32_t, shared);
  RADGPT_SHARED(float, query_positions, kAttentionTile);
  RADGPT_SHARED(float, key_positions, kAttentionTile);
  uint32_t* queries = shared;
  uint32_t* keys = queries + kTileWords<kWidth>;
  uint32_t* values = keys + kTileWords<kWidth>;
  const AttentionInput<BFloat16>& input = call.input;
  const AttentionTile tile = load_attention_tile(tiles, blockIdx.x);
  const int64_t head = blockIdx.y;
  const Scoring scoring = scoring_of(input, head);
  const bool busy = tile.begin + lane_row() - lane_group() < tile.end;  // the warp has queries

  load_tile<kWidth>(head_of_qkv(input.qkv, input, 0), tile.begin, tile.end, queries);
  load_positions(input, tile.begin, tile.end, query_positions);

  float out[kWidth / 8][4] = {};
  float largest[2] = {-INFINITY, -INFINITY}, sums[2] = {0.0f, 0.0f};
  for (int i = 0; i < key_ranges(tile); ++i) {
    const KeyRange range = key_range(tile, i);
    load_tile<kWidth>(head_of_qkv(input.qkv, input, 1), range.begin, range.end, keys);
    load_positions(input, range.begin, range.end, key_positions);
    async_commit();
    load_tile<kWidth>(head_of_qkv(input.qkv, input, 2), range.begin, range.end, values);
    async_commit();
    async_wait<1>();
    barrier();
    float scores[kTileBlocks][4] = {};
    if (busy) {
      multiply_rows<kWidth>(queries, lane_row(), keys, scores);
      for_each_place(scores, [&](float& score, int row, int column) {
        const float s = scoring.score(score, key_positions[column], query_positions[row]);
        score = range.seen(range.begin + column, tile.begin + row) ? s : -INFINITY;
      });
      softmax_step<kWidth>(scores, largest, sums, out);
    }
    async_wait<0>();
    barrier();
    if (busy) multiply_columns<kWidth>(scores, values, out);
    barrier();
  }
  if (!busy) return;
  float inverse[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    sums[half] += shuffle_xor(sums[half], 1);
    sums[half] += shuffle_xor(sums[half], 2);
    inverse[half] = 1.0f / sums[half];
    const int query = tile.begin + lane_row() + 8 * half;
    if (lane_member() == 0 && query < tile.end) {
      store(call.log_sums + head * input.tokens + query, largest[half] + logf(sums[half]));
    }
  }
  store_rows<kWidth>(out, inverse, tile.begin, tile.end, head_of_out(call.out, input));
}

}  // namespace radgpt::kernels
