#pragma once

#include <cfloat>

#include "kernels/segment_attention/attention_products.cuh"
#include "kernels/segment_attention/cached_attention.h"

namespace radgpt::kernels {

inline constexpr int kCachedThreads = 256;
inline constexpr int kKeysAtOnce = 4;  ///< of a group of lanes, so that their loads overlap

// One block a token copies its keys and values.
RADGPT_KERNEL(kCachedThreads, 3)
static void cache_store_kernel(CacheStore<BFloat16> call) {
  const int64_t hidden = call.input.heads * call.input.head_dim;
  const BFloat16* key =
      call.input.qkv + (3 * load<int32_t>(call.tokens + blockIdx.x) + int64_t{1}) * hidden;
  const int64_t to = load<int64_t>(call.rows + blockIdx.x) * hidden;
  for (int64_t i = 8 * threadIdx.x; i < hidden; i += 8 * kCachedThreads) {
    store(call.cache.keys + to + i, load<Words4>(key + i));
    store(call.cache.values + to + i, load<Words4>(key + hidden + i));
  }
}

/// What a group of lanes has summed over its keys; a lane holds eight columns of `out`.
struct PartialSoftmax {
  float largest = -FLT_MAX;
  float sum = 0.0f;
  float out[8] = {};

  /// Adds keys that were not seen before; a score of minus infinity counts for nothing.
  RADGPT_DEVICE void add(const float (&scores)[kKeysAtOnce], const Words4 (&values)[kKeysAtOnce]) {
    float top = largest;
#pragma unroll
    for (int u = 0; u < kKeysAtOnce; ++u) top = fmaxf(top, scores[u]);
    const float factor = expf(largest - top);
    largest = top;
    sum *= factor;
#pragma unroll
    for (int i = 0; i < 8; ++i) out[i] *= factor;
#pragma unroll
    for (int u = 0; u < kKeysAtOnce; ++u) {
      const float p = expf(scores[u] - top);
      sum += p;
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        out[2 * c] += p * low_bfloat16(values[u].word[c]);
        out[2 * c + 1] += p * high_bfloat16(values[u].word[c]);
      }
    }
  }
};

RADGPT_DEVICE float dot(const Words4& x, const Words4& y) {
  float sum = 0.0f;
#pragma unroll
  for (int c = 0; c < 4; ++c) {
    sum += low_bfloat16(x.word[c]) * low_bfloat16(y.word[c]) +
           high_bfloat16(x.word[c]) * high_bfloat16(y.word[c]);
  }
  return sum;
}

// One block per token and head. A group of kWidth / 8 lanes takes a key at a time, eight columns a
// lane; each group has its own softmax over every kGroups-th key, and all are brought together at
// the end in the order of the groups.
template <int kWidth>
RADGPT_KERNEL(kCachedThreads, 3)
void cached_attention_kernel(CachedAttention<BFloat16> call) {
  constexpr int kLanesOfKey = kWidth / 8;
  constexpr int kGroups = kCachedThreads / kLanesOfKey;
  RADGPT_SHARED(float, largest, kGroups);
  RADGPT_SHARED(float, sums, kGroups);
  RADGPT_SHARED(float, outs, 8 * kCachedThreads);  // [kGroups, kWidth]
  const AttentionInput<BFloat16>& input = call.input;
  const int thread = static_cast<int>(threadIdx.x);
  const int group = thread / kLanesOfKey, column = 8 * (thread % kLanesOfKey);
  const bool inside = column < input.head_dim;
  const int64_t token = blockIdx.x, hidden = input.heads * input.head_dim;
  const int64_t head_column = blockIdx.y * input.head_dim;
  const int64_t first_row = load<int32_t>(call.sequences + token) * call.cache.capacity;
  const int entries = load<int32_t>(call.entries + token);
  const Scoring scoring = scoring_of(input, blockIdx.y);
  Words4 query{};
  if (inside) query = load<Words4>(input.qkv + token * 3 * hidden + head_column + column);

  PartialSoftmax partial;
  for (int first = 0; first < entries; first += kGroups * kKeysAtOnce) {
    Words4 keys[kKeysAtOnce] = {}, values[kKeysAtOnce] = {};
#pragma unroll
    for (int u = 0; u < kKeysAtOnce; ++u) {
      const int entry = first + u * kGroups + group;
      if (entry >= entries || !inside) continue;
      const int64_t at = (first_row + entry) * hidden + head_column + column;
      keys[u] = load<Words4>(call.cache.keys + at);
      values[u] = load<Words4>(call.cache.values + at);
    }
    float scores[kKeysAtOnce];
#pragma unroll
    for (int u = 0; u < kKeysAtOnce; ++u) {
      const int entry = first + u * kGroups + group;
      float product = dot(query, keys[u]);
#pragma unroll
      for (int mask = 1; mask < kLanesOfKey; mask *= 2) product += shuffle_xor(product, mask);
      const float score =
          scoring.score(product, static_cast<float>(entry), static_cast<float>(entries - 1));
      scores[u] = entry < entries ? score : -INFINITY;
    }
    partial.add(scores, values);
  }

  if (column == 0) {
    largest[group] = partial.largest;
    sums[group] = partial.sum;
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) outs[group * kWidth + column + i] = partial.out[i];
  barrier();
  if (2 * thread >= input.head_dim) return;
  float top = largest[0];
  for (int g = 1; g < kGroups; ++g) top = fmaxf(top, largest[g]);
  float sum = 0.0f, low = 0.0f, high = 0.0f;
  for (int g = 0; g < kGroups; ++g) {
    const float factor = expf(largest[g] - top);
    sum += factor * sums[g];
    low += factor * outs[g * kWidth + 2 * thread];
    high += factor * outs[g * kWidth + 2 * thread + 1];
  }
  store(call.out + token * hidden + head_column + 2 * thread, pack_bfloat16(low / sum, high / sum));
}

}  // namespace radgpt::kernels
