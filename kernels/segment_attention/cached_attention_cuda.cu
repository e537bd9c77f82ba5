#include "kernels/segment_attention/attention_launch.h"
#include "kernels/segment_attention/cached_attention.cuh"

namespace radgpt::kernels {

namespace {

void check_cache(const char* who, const KeyValueCache<BFloat16>& cache) {
  require(cache.capacity > 0, who, ": capacity must be positive, got ", cache.capacity);
  check_aligned(who, "keys", cache.keys);
  check_aligned(who, "values", cache.values);
}

}  // namespace

void cache_store_cuda(const CacheStore<BFloat16>& call, Stream stream) {
  constexpr const char* kWho = "cache_store";
  check_attention_input(kWho, call.input);
  check_cache(kWho, call.cache);
  launch(kWho, cache_store_kernel, {.x = call.count}, kCachedThreads, stream, call);
}

void cached_attention_cuda(const CachedAttention<BFloat16>& call, Stream stream) {
  constexpr const char* kWho = "cached_attention";
  check_attention_input(kWho, call.input);
  check_cache(kWho, call.cache);
  check_aligned(kWho, "out", call.out);
  with_width(call.input.head_dim, [&](auto width) {
    launch(kWho, cached_attention_kernel<decltype(width)::value>,
           {.x = call.input.tokens, .y = call.input.heads}, kCachedThreads, stream, call);
  });
}

}  // namespace radgpt::kernels
