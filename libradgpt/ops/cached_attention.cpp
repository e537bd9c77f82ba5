#include "kernels/segment_attention/cached_attention.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include "libradgpt/ops/attention_input.h"
#include "libradgpt/ops/run_kernel.h"

namespace radgpt {

namespace {

/// Which tokens of a qkv matrix become which rows of the cache.
struct Placement {
  std::vector<int32_t> tokens;
  std::vector<int64_t> rows;
};

template <typename T>
kernels::KeyValueCache<T> cache_of(const LayerCache& cache) {
  return {mutable_values_of<T>(cache.keys), mutable_values_of<T>(cache.values), cache.keys.size(1)};
}

template <typename V>
at::Tensor beside(const std::vector<V>& values, const at::Tensor& tensor) {
  return at::tensor(values, c10::CppTypeToScalarType<V>::value).to(tensor.device());
}

template <typename T>
void store(const AttentionOperand& operand, const Placement& placement, const LayerCache& cache) {
  const at::Tensor tokens = beside(placement.tokens, operand.qkv);
  const at::Tensor rows = beside(placement.rows, operand.qkv);
  const kernels::CacheStore<T> call{operand.input<T>(), tokens.size(0),
                                    tokens.const_data_ptr<int32_t>(),
                                    rows.const_data_ptr<int64_t>(), cache_of<T>(cache)};
  run_kernel<T>(
      operand.qkv, [&](auto& device, auto stream) { device.cache_store(call, stream); },
      [&](auto workers) { kernels::cache_store_cpu(call, workers); });
}

/// Prefix and own tokens of the segments of each sequence, from its entry 0 on.
Placement placement_of(const std::vector<Segment>& segments,
                       const std::vector<int32_t>& sequence_of_segment, int64_t capacity) {
  Placement placement;
  for (size_t i = 0; i < segments.size(); ++i) {
    if (sequence_of_segment[i] < 0) continue;
    int64_t row = sequence_of_segment[i] * capacity;
    const auto append = [&](int32_t begin, int32_t end) {
      for (int32_t token = begin; token < end; ++token) {
        placement.tokens.push_back(token);
        placement.rows.push_back(row++);
      }
    };
    append(segments[i].prefix_begin, segments[i].prefix_end);
    append(segments[i].begin, segments[i].end);
  }
  return placement;
}

void check_cache(const LayerCache& cache, const at::Tensor& qkv, int64_t sequence,
                 int64_t entries) {
  require(cache.keys.dim() == 3 && cache.keys.sizes() == cache.values.sizes() &&
              cache.keys.is_contiguous() && cache.values.is_contiguous() &&
              cache.keys.size(2) * 3 == qkv.size(1) &&
              cache.keys.scalar_type() == qkv.scalar_type(),
          "attention: cache ", cache.keys.sizes(), " of ", cache.keys.scalar_type(),
          " does not fit qkv ", qkv.sizes(), " of ", qkv.scalar_type());
  require(sequence >= 0 && sequence < cache.keys.size(0) && entries <= cache.keys.size(1),
          "attention: cache of ", cache.keys.size(0), " sequences of ", cache.keys.size(1),
          " entries has no room for entry ", entries - 1, " of sequence ", sequence);
}

}  // namespace

at::Tensor prefill_attention(const at::Tensor& qkv, const at::Tensor& positions,
                             const AttentionLayout& layout, int64_t heads,
                             const PositionEncoding& encoding,
                             const std::vector<int32_t>& sequence_of_segment, LayerCache& cache) {
  const at::NoGradGuard forward_only;
  const std::vector<Segment>& segments = layout.segments();
  require(sequence_of_segment.size() == segments.size(),
          "attention: one sequence per segment expected, got ", sequence_of_segment.size(), " for ",
          segments.size());
  const AttentionOperand operand = AttentionOperand::of(qkv, positions, heads, encoding);
  const at::Tensor out = attend(operand, layout, qkv);
  for (size_t i = 0; i < segments.size(); ++i) {
    if (sequence_of_segment[i] < 0) continue;
    check_cache(cache, operand.qkv, sequence_of_segment[i],
                segments[i].prefix_length() + segments[i].length());
  }
  const Placement placement = placement_of(segments, sequence_of_segment, cache.keys.size(1));
  visit_type(qkv.scalar_type(), "attention",
             [&](auto zero) { store<decltype(zero)>(operand, placement, cache); });
  return out;
}

at::Tensor cached_attention(const at::Tensor& qkv, const at::Tensor& positions,
                            const std::vector<int32_t>& sequences,
                            const std::vector<int32_t>& lengths, int64_t heads,
                            const PositionEncoding& encoding, LayerCache& cache) {
  const at::NoGradGuard forward_only;
  const AttentionOperand operand = AttentionOperand::of(qkv, positions, heads, encoding);
  const int64_t count = qkv.size(0);
  require(static_cast<int64_t>(sequences.size()) == count && lengths.size() == sequences.size(),
          "attention: ", count, " rows of qkv need as many sequences and lengths, got ",
          sequences.size(), " and ", lengths.size());
  Placement placement;
  std::vector<int32_t> entries;
  for (int32_t i = 0; i < count; ++i) {
    entries.push_back(lengths[i] + 1);
    check_cache(cache, operand.qkv, sequences[i], entries.back());
    placement.tokens.push_back(i);
    placement.rows.push_back(sequences[i] * cache.keys.size(1) + lengths[i]);
  }
  at::Tensor out = at::empty({count, qkv.size(1) / 3}, qkv.options());
  const at::Tensor sequence_of = beside(sequences, qkv), entries_of = beside(entries, qkv);
  visit_type(qkv.scalar_type(), "attention", [&](auto zero) {
    using T = decltype(zero);
    store<T>(operand, placement, cache);
    const kernels::CachedAttention<T> call{
        operand.input<T>(), sequence_of.const_data_ptr<int32_t>(),
        entries_of.const_data_ptr<int32_t>(), cache_of<T>(cache), mutable_values_of<T>(out)};
    run_kernel<T>(
        qkv, [&](auto& device, auto stream) { device.cached_attention(call, stream); },
        [&](auto workers) { kernels::cached_attention_cpu(call, workers); });
  });
  return out;
}

}  // namespace radgpt
