#include "libradgpt/ops/cached_attention.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include "kernels/segment_attention/cached_attention.h"
#include "libradgpt/ops/attention_input.h"
#include "libradgpt/ops/run_kernel.h"

namespace radgpt {

namespace {

template <typename T>
kernels::KeyValueCache<T> cache_of(const LayerCache& cache) {
  return {mutable_values_of<T>(cache.keys), mutable_values_of<T>(cache.values), cache.keys.size(1)};
}

template <typename V>
at::Tensor beside(const LayerCache& cache, const std::vector<V>& values) {
  return at::tensor(values, c10::CppTypeToScalarType<V>::value).to(cache.keys.device());
}

void check_room(const LayerCache& cache, int64_t sequence, int64_t entries) {
  require(cache.keys.dim() == 3 && sequence >= 0 && sequence < cache.keys.size(0) && entries >= 1 &&
              entries <= cache.keys.size(1),
          "attention: cache ", cache.keys.sizes(), " has no room for entry ", entries - 1,
          " of sequence ", sequence);
}

void check_cache(const LayerCache& cache, const CachePlacement& placement, const at::Tensor& qkv) {
  require(placement.pass_tokens == qkv.size(0), "attention: placement is of ",
          placement.pass_tokens, " tokens, got qkv ", qkv.sizes());
  require(cache.keys.sizes() == at::IntArrayRef({placement.cache_sequences, placement.capacity,
                                                 qkv.size(1) / 3}) &&
              cache.keys.sizes() == cache.values.sizes() && cache.keys.is_contiguous() &&
              cache.values.is_contiguous() && cache.keys.scalar_type() == qkv.scalar_type() &&
              cache.keys.device() == qkv.device(),
          "attention: cache ", cache.keys.sizes(), " of ", cache.keys.scalar_type(),
          " does not fit qkv ", qkv.sizes(), " of ", qkv.scalar_type(), " placed in ",
          placement.cache_sequences, " sequences of ", placement.capacity);
}

template <typename T>
void store(const AttentionOperand& operand, const CachePlacement& placement,
           const LayerCache& cache) {
  const kernels::CacheStore<T> call{operand.input<T>(), placement.tokens.size(0),
                                    placement.tokens.const_data_ptr<int32_t>(),
                                    placement.rows.const_data_ptr<int64_t>(), cache_of<T>(cache)};
  run_kernel<T>(
      operand.qkv, [&](auto& device, auto stream) { device.cache_store(call, stream); },
      [&](auto workers) { kernels::cache_store_cpu(call, workers); });
}

}  // namespace

CachePlacement place_segments(const std::vector<Segment>& segments,
                              const std::vector<int32_t>& sequence_of_segment,
                              const LayerCache& cache) {
  require(sequence_of_segment.size() == segments.size(),
          "attention: one sequence per segment expected, got ", sequence_of_segment.size(), " for ",
          segments.size());
  std::vector<int32_t> tokens;
  std::vector<int64_t> rows;
  for (size_t i = 0; i < segments.size(); ++i) {
    const int64_t sequence = sequence_of_segment[i];
    if (sequence < 0) continue;
    check_room(cache, sequence, segments[i].prefix_length() + segments[i].length());
    int64_t row = sequence * cache.keys.size(1);
    const auto append = [&](int32_t begin, int32_t end) {
      for (int32_t token = begin; token < end; ++token) {
        tokens.push_back(token);
        rows.push_back(row++);
      }
    };
    append(segments[i].prefix_begin, segments[i].prefix_end);
    append(segments[i].begin, segments[i].end);
  }
  const int64_t pass_tokens = segments.empty() ? 0 : segments.back().end;
  return {beside(cache, tokens), beside(cache, rows), {}, {}, pass_tokens,
          cache.keys.size(0),    cache.keys.size(1)};
}

CachePlacement place_next_tokens(const std::vector<int32_t>& sequences,
                                 const std::vector<int32_t>& lengths, const LayerCache& cache) {
  require(lengths.size() == sequences.size(), "attention: one length per sequence expected, got ",
          lengths.size(), " for ", sequences.size());
  std::vector<int32_t> tokens, entries;
  std::vector<int64_t> rows;
  for (size_t i = 0; i < sequences.size(); ++i) {
    check_room(cache, sequences[i], int64_t{lengths[i]} + 1);
    tokens.push_back(static_cast<int32_t>(i));
    entries.push_back(lengths[i] + 1);
    rows.push_back(sequences[i] * cache.keys.size(1) + lengths[i]);
  }
  return {beside(cache, tokens),
          beside(cache, rows),
          beside(cache, entries),
          beside(cache, sequences),
          static_cast<int64_t>(tokens.size()),
          cache.keys.size(0),
          cache.keys.size(1)};
}

at::Tensor prefill_attention(const at::Tensor& qkv, const at::Tensor& positions,
                             const AttentionLayout& layout, int64_t heads,
                             const PositionEncoding& encoding, const CachePlacement& placement,
                             LayerCache& cache) {
  const at::NoGradGuard forward_only;
  const AttentionOperand operand = AttentionOperand::of(qkv, positions, heads, encoding);
  check_cache(cache, placement, operand.qkv);
  const at::Tensor out = attend(operand, layout, qkv);
  visit_type(qkv.scalar_type(), "attention",
             [&](auto zero) { store<decltype(zero)>(operand, placement, cache); });
  return out;
}

at::Tensor cached_attention(const at::Tensor& qkv, const at::Tensor& positions, int64_t heads,
                            const PositionEncoding& encoding, const CachePlacement& placement,
                            LayerCache& cache) {
  const at::NoGradGuard forward_only;
  const AttentionOperand operand = AttentionOperand::of(qkv, positions, heads, encoding);
  check_cache(cache, placement, operand.qkv);
  require(placement.entries.defined(),
          "attention: placement must be one of next tokens, got one of segments");
  at::Tensor out = at::empty({qkv.size(0), qkv.size(1) / 3}, qkv.options());
  visit_type(qkv.scalar_type(), "attention", [&](auto zero) {
    using T = decltype(zero);
    store<T>(operand, placement, cache);
    const kernels::CachedAttention<T> call{
        operand.input<T>(), placement.sequences.const_data_ptr<int32_t>(),
        placement.entries.const_data_ptr<int32_t>(), cache_of<T>(cache), mutable_values_of<T>(out)};
    run_kernel<T>(
        qkv, [&](auto& device, auto stream) { device.cached_attention(call, stream); },
        [&](auto workers) { kernels::cached_attention_cpu(call, workers); });
  });
  return out;
}

}  // namespace radgpt
