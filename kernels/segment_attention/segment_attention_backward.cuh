#pragma once

#include "kernels/segment_attention/attention_products.cuh"

namespace radgpt::kernels {

/// What the backward pass knows of each query of a tile, in shared memory.
struct QueryTerms {
  float* positions;
  float* log_sums;
  float* means;  ///< dO . o, which is the mean of dP under the probabilities
};

/// log_sums or means, [heads, tokens], of tokens [begin, end) to shared memory, zero behind them.
RADGPT_DEVICE void load_row_of_head(const float* rows, int64_t tokens, int begin, int end,
                                    float* values) {
  const int i = static_cast<int>(threadIdx.x);
  if (i >= kAttentionTile) return;
  values[i] = begin + i < end ? load<float>(rows + blockIdx.y * tokens + begin + i) : 0.0f;
}

/// dO . o of the tile's queries, two threads each, to shared memory and to means [heads, tokens].
template <int kWidth>
RADGPT_DEVICE void write_means(const SegmentAttentionBackward<BFloat16>& call,
                               const AttentionTile& tile, const uint32_t* d_out,
                               float* means_of_tile, float* means) {
  const int row = static_cast<int>(threadIdx.x) / 2, half = static_cast<int>(threadIdx.x) % 2;
  const HeadRows<const BFloat16> out = head_of_out(call.out, call.input);
  float sum = 0.0f;
  if (tile.begin + row < tile.end) {
    for (int piece = half; 8 * piece < out.head_dim; piece += 2) {
      const Words4 o = load<Words4>(out.data + (tile.begin + row) * out.stride + 8 * piece);
      const uint32_t* d = d_out + row * kRowWords<kWidth> + 4 * piece;
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        sum += low_bfloat16(o.word[c]) * low_bfloat16(d[c]) +
               high_bfloat16(o.word[c]) * high_bfloat16(d[c]);
      }
    }
  }
  sum += shuffle_xor(sum, 1);
  if (half == 1) return;
  means_of_tile[row] = sum;
  if (tile.begin + row < tile.end) {
    store(means + blockIdx.y * call.input.tokens + tile.begin + row, sum);
  }
}

/// The scores of one tile of queries and one range of keys.
struct ScoreTile {
  Scoring scoring;
  KeyRange keys;
  int begin;  ///< of the queries
  int end;
  QueryTerms queries;
  const float* key_positions;

  /// Of the query and key at those places in their tiles, from q . k: zero where it is not seen.
  RADGPT_DEVICE float probability(float product, int query, int key) const {
    if (begin + query >= end || !keys.seen(keys.begin + key, begin + query)) return 0.0f;
    return expf(scoring.score(product, key_positions[key], queries.positions[query]) -
                queries.log_sums[query]);
  }
};

// dQ: one block per tile of queries and head, as the forward pass. Leaves dO . o for dK and dV.
template <int kWidth>
RADGPT_KERNEL(kAttentionThreads, 3)
void segment_attention_query_gradient_kernel(SegmentAttentionBackward<BFloat16> call,
                                             const AttentionTile* tiles, float* means) {
  RADGPT_DYNAMIC_SHARED(uint32_t, shared);
  RADGPT_SHARED(float, terms, 4 * kAttentionTile);
  uint32_t* queries = shared;
  uint32_t* d_out = queries + kTileWords<kWidth>;
  uint32_t* keys = d_out + kTileWords<kWidth>;
  uint32_t* values = keys + kTileWords<kWidth>;
  const QueryTerms query{terms, terms + kAttentionTile, terms + 2 * kAttentionTile};
  float* key_positions = terms + 3 * kAttentionTile;
  const AttentionInput<BFloat16>& input = call.input;
  const AttentionTile tile = load_attention_tile(tiles, blockIdx.x);
  const Scoring scoring = scoring_of(input, blockIdx.y);
  const bool busy = tile.begin + lane_row() - lane_group() < tile.end;  // the warp has queries

  load_tile<kWidth>(head_of_qkv(input.qkv, input, 0), tile.begin, tile.end, queries);
  load_tile<kWidth>(head_of_out(call.d_out, input), tile.begin, tile.end, d_out);
  async_commit();
  load_positions(input, tile.begin, tile.end, query.positions);
  load_row_of_head(call.log_sums, input.tokens, tile.begin, tile.end, query.log_sums);
  async_wait<0>();
  barrier();
  write_means<kWidth>(call, tile, d_out, query.means, means);

  float d_query[kWidth / 8][4] = {};
  for (int i = 0; i < key_ranges(tile); ++i) {
    const KeyRange range = key_range(tile, i);
    load_tile<kWidth>(head_of_qkv(input.qkv, input, 1), range.begin, range.end, keys);
    load_positions(input, range.begin, range.end, key_positions);
    async_commit();
    load_tile<kWidth>(head_of_qkv(input.qkv, input, 2), range.begin, range.end, values);
    async_commit();
    async_wait<1>();
    barrier();
    float p[kTileBlocks][4] = {}, d_score[kTileBlocks][4] = {};
    if (busy) {
      multiply_rows<kWidth>(queries, lane_row(), keys, p);
      const ScoreTile score{scoring, range, tile.begin, tile.end, query, key_positions};
      for_each_place(p, [&](float& value, int row, int column) {
        value = score.probability(value, row, column);
      });
    }
    async_wait<0>();
    barrier();
    if (busy) {
      multiply_rows<kWidth>(d_out, lane_row(), values, d_score);
      for_each_place(d_score, [&](float& value, int row, int) { value -= query.means[row]; });
      multiply_places(p, d_score);
      multiply_columns<kWidth>(d_score, keys, d_query);
    }
    barrier();
  }
  const float scale[2] = {scoring.scale, scoring.scale};
  store_rows<kWidth>(d_query, scale, tile.begin, tile.end, head_of_qkv(call.d_qkv, input, 0));
}

// dK and dV: one block per tile of keys and head. The queries that see them come in the order of
// the tiles, so the sums over root and branches have a fixed order.
template <int kWidth>
RADGPT_KERNEL(kAttentionThreads, 2)
void segment_attention_key_gradient_kernel(SegmentAttentionBackward<BFloat16> call,
                                           const AttentionTile* tiles, const float* means) {
  constexpr int kBlocks = kTileBlocks / 2;  // half a tile of queries at a time, for the registers
  RADGPT_DYNAMIC_SHARED(uint32_t, shared);
  RADGPT_SHARED(float, terms, 4 * kAttentionTile);
  uint32_t* keys = shared;
  uint32_t* values = keys + kTileWords<kWidth>;
  uint32_t* queries = values + kTileWords<kWidth>;
  uint32_t* d_out = queries + kTileWords<kWidth>;
  const QueryTerms query{terms, terms + kAttentionTile, terms + 2 * kAttentionTile};
  float* key_positions = terms + 3 * kAttentionTile;
  const AttentionInput<BFloat16>& input = call.input;
  const AttentionTile own = load_attention_tile(tiles, blockIdx.x);
  const Scoring scoring = scoring_of(input, blockIdx.y);
  const bool busy = own.begin + lane_row() - lane_group() < own.end;  // the warp has keys

  load_tile<kWidth>(head_of_qkv(input.qkv, input, 1), own.begin, own.end, keys);
  load_tile<kWidth>(head_of_qkv(input.qkv, input, 2), own.begin, own.end, values);
  load_positions(input, own.begin, own.end, key_positions);

  float d_key[kWidth / 8][4] = {}, d_value[kWidth / 8][4] = {};
  for (int i = own.seen_begin; i < own.seen_end; ++i) {
    const AttentionTile tile = load_attention_tile(tiles, i);
    load_tile<kWidth>(head_of_qkv(input.qkv, input, 0), tile.begin, tile.end, queries);
    load_tile<kWidth>(head_of_out(call.d_out, input), tile.begin, tile.end, d_out);
    async_commit();
    load_positions(input, tile.begin, tile.end, query.positions);
    load_row_of_head(call.log_sums, input.tokens, tile.begin, tile.end, query.log_sums);
    load_row_of_head(means, input.tokens, tile.begin, tile.end, query.means);
    async_wait<0>();
    barrier();
    const KeyRange range{own.begin, own.end, own.begin >= tile.segment_begin};
    const ScoreTile score{scoring, range, tile.begin, tile.end, query, key_positions};
#pragma unroll 1
    for (int first = 0; first < (busy ? kAttentionTile : 0); first += 8 * kBlocks) {
      const uint32_t* some_queries = queries + first * kRowWords<kWidth>;
      const uint32_t* some_d_out = d_out + first * kRowWords<kWidth>;
      float p[kBlocks][4] = {}, d_score[kBlocks][4] = {};
      multiply_rows<kWidth>(keys, lane_row(), some_queries, p);
      for_each_place(p, [&](float& value, int key, int column) {
        value = score.probability(value, first + column, key);
      });
      multiply_columns<kWidth>(p, some_d_out, d_value);
      multiply_rows<kWidth>(values, lane_row(), some_d_out, d_score);
      for_each_place(d_score,
                     [&](float& value, int, int column) { value -= query.means[first + column]; });
      multiply_places(p, d_score);
      multiply_columns<kWidth>(d_score, some_queries, d_key);
    }
    barrier();
  }
  const float one[2] = {1.0f, 1.0f}, scale[2] = {scoring.scale, scoring.scale};
  store_rows<kWidth>(d_key, scale, own.begin, own.end, head_of_qkv(call.d_qkv, input, 1));
  store_rows<kWidth>(d_value, one, own.begin, own.end, head_of_qkv(call.d_qkv, input, 2));
}

}  // namespace radgpt::kernels
