#pragma once

#include <cstdint>

#include "kernels/segment_attention/segment_attention.h"

namespace radgpt::kernels {

/// Keys and values of one layer for generation, keys rotated (RoPE). Entry e of sequence s stands
/// at row s * capacity + e.
template <typename T>
struct KeyValueCache {
  T* keys = nullptr;    ///< [sequences, capacity, heads head_dim]
  T* values = nullptr;  ///< [sequences, capacity, heads head_dim]
  int64_t capacity = 0;
};

/// Copies keys and values of tokens into the cache: token tokens[i] becomes row rows[i], for i in
/// [0, count).
template <typename T>
struct CacheStore {
  AttentionInput<T> input;
  int64_t count = 0;
  const int32_t* tokens = nullptr;  ///< [count]
  const int64_t* rows = nullptr;    ///< [count], of the cache, all different
  KeyValueCache<T> cache;
};

/// For T float, double, BFloat16.
template <typename T>
void cache_store_cpu(const CacheStore<T>& call, const Workers& workers);

/// On device memory, `tokens` and `rows` too; enqueues on `stream` and does not wait. head_dim is a
/// multiple of 8 up to kMostHeadDim, arrays of bfloat16 are aligned to 16 bytes. Throws Error
/// kInput otherwise, kEnvironment when the launch fails.
void cache_store_cuda(const CacheStore<BFloat16>& call, Stream stream);

/// One query a sequence over its cache: token i of the input attends to entries [0, entries[i]) of
/// sequence sequences[i], as in segment_attention.h. Entries stand at consecutive positions, the
/// last of them at that of the token, whose own key and value it is. Reads only q of the input.
template <typename T>
struct CachedAttention {
  AttentionInput<T> input;
  const int32_t* sequences = nullptr;  ///< [tokens]
  const int32_t* entries = nullptr;    ///< [tokens], from 1 to capacity
  KeyValueCache<T> cache;
  T* out = nullptr;  ///< [tokens, heads head_dim]
};

/// For T float, double, BFloat16.
template <typename T>
void cached_attention_cpu(const CachedAttention<T>& call, const Workers& workers);

/// As cache_store_cuda, `sequences` and `entries` on the device too. Bitwise repeatable.
void cached_attention_cuda(const CachedAttention<BFloat16>& call, Stream stream);

}  // namespace radgpt::kernels
