#include "kernels/segment_attention/attention_launch.h"
#include "kernels/segment_attention/cached_attention.cuh"

namespace radgpt::kernels {

namespace {

void check_cache(const char* who, const KeyValueCache<BFloat16>& cache, int64_t count) {
  require(cache.capacity > 0, who, ": capacity must be positive, got ", cache.capacity);
  check_array(who, "keys", cache.keys, count);
  check_array(who, "values", cache.values, count);
}

}  // namespace

void cache_store_cuda(const CacheStore<BFloat16>& call, Stream stream) {
  constexpr const char* kWho = "cache_store";
  check_attention_input(kWho, call.input);
  check_cache(kWho, call.cache, call.count);
  launch(kWho, cache_store_kernel, {.x = call.count}, kCachedThreads, stream, call);
}

void cached_attention_cuda(const CachedAttention<BFloat16>& call, Stream stream) {
  constexpr const char* kWho = "cached_attention";
  check_attention_input(kWho, call.input);
  check_cache(kWho, call.cache, call.input.tokens);
  check_array(kWho, "out", call.out, call.input.tokens);
  with_width(call.input.head_dim, [&](auto width) {
    launch(kWho, cached_attention_kernel<decltype(width)::value>,
           {.x = call.input.tokens, .y = call.input.heads}, kCachedThreads, stream, call);
  });
}

}  // namespace radgpt::kernels
