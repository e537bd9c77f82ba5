#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include "kernels/primitives/row_loops.h"
#include "libradgpt/ops/attention_problem.h"

namespace radgpt {

using namespace kernels;

namespace {

/// Keys and values of one layer as the loops see them.
template <typename T>
struct CacheView {
  T* keys;
  T* values;
  int64_t capacity;
  int64_t hidden;

  explicit CacheView(const LayerCache& cache)
      : keys(mutable_values_of<T>(cache.keys)),
        values(mutable_values_of<T>(cache.values)),
        capacity(cache.keys.size(1)),
        hidden(cache.keys.size(2)) {}

  int64_t at(int64_t sequence, int64_t entry) const {
    return (sequence * capacity + entry) * hidden;
  }
};

/// Writes the rotated keys and the values of all heads of one token.
template <typename T>
void store_token(const AttentionProblem<T>& problem, int64_t token, const CacheView<T>& cache,
                 int64_t at) {
  const int64_t dim = problem.head_dim;
  std::vector<Compute<T>> key(dim);
  for (int64_t head = 0; head < problem.heads; ++head) {
    rotate_head(problem.key(token, head), dim, problem.rotation(token), key.data());
    round_row(key.data(), dim, cache.keys + at + head * dim);
  }
  std::copy(problem.value(token, 0), problem.value(token, 0) + problem.hidden(), cache.values + at);
}

/// One head of one query over entries [0, entries) of a sequence.
template <typename T>
void attend(const AttentionProblem<T>& problem, int64_t token, int64_t head,
            const CacheView<T>& cache, int64_t sequence, int64_t entries, T* out) {
  using C = Compute<T>;
  const int64_t dim = problem.head_dim, width = round_up(entries, kLanes<C>);
  std::vector<C> query(dim), scores(width), positions(width), sums(dim);
  rotate_head(problem.query(token, head), dim, problem.rotation(token), query.data());
  for (int64_t j = 0; j < entries; ++j) {
    scores[j] = dot_row(query.data(), cache.keys + cache.at(sequence, j) + head * dim, dim);
    positions[j] = static_cast<C>(j - entries + 1);
  }
  C sum = 0;
  exponentiate_scores<C>(
      {scores.data(), entries, width, positions.data(), C{0}, problem.scale(), problem.slope(head)},
      &sum);
  for (int64_t j = 0; j < entries; ++j) {
    add_scaled_row(cache.values + cache.at(sequence, j) + head * dim, scores[j], dim, sums.data());
  }
  round_row(sums.data(), dim, out, C{1} / sum);
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
                             const std::vector<Segment>& segments, int64_t heads,
                             const PositionEncoding& encoding,
                             const std::vector<int32_t>& sequence_of_segment, LayerCache& cache) {
  const at::NoGradGuard forward_only;
  require(sequence_of_segment.size() == segments.size(),
          "attention: one sequence per segment expected, got ", sequence_of_segment.size(), " for ",
          segments.size());
  const at::Tensor rows = qkv.contiguous(), places = positions.contiguous();
  const at::Tensor out = segment_attention(rows, places, segments, heads, encoding);
  for (size_t i = 0; i < segments.size(); ++i) {
    if (sequence_of_segment[i] < 0) continue;
    check_cache(cache, rows, sequence_of_segment[i],
                segments[i].prefix_length() + segments[i].length());
  }
  visit_type(rows.scalar_type(), "attention", [&](auto zero) {
    using T = decltype(zero);
    const AttentionProblem<T> problem(rows, places, heads, encoding);
    const CacheView<T> view(cache);
    const auto count = static_cast<int64_t>(segments.size());
    at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const Segment& segment = segments[i];
        const int64_t sequence = sequence_of_segment[i], prefix = segment.prefix_length();
        if (sequence < 0) continue;
        for (int64_t entry = 0; entry < prefix + segment.length(); ++entry) {
          const int64_t token =
              entry < prefix ? segment.prefix_begin + entry : segment.begin + entry - prefix;
          store_token(problem, token, view, view.at(sequence, entry));
        }
      }
    });
  });
  return out;
}

at::Tensor cached_attention(const at::Tensor& qkv, const at::Tensor& positions,
                            const std::vector<int32_t>& sequences,
                            const std::vector<int32_t>& lengths, int64_t heads,
                            const PositionEncoding& encoding, LayerCache& cache) {
  const at::NoGradGuard forward_only;
  check_attention(qkv, positions, heads, encoding);
  const at::Tensor rows = qkv.contiguous(), places = positions.contiguous();
  const int64_t count = rows.size(0);
  require(static_cast<int64_t>(sequences.size()) == count && lengths.size() == sequences.size(),
          "attention: ", count, " rows of qkv need as many sequences and lengths, got ",
          sequences.size(), " and ", lengths.size());
  for (size_t i = 0; i < sequences.size(); ++i) {
    check_cache(cache, rows, sequences[i], lengths[i] + 1);
  }
  at::Tensor out = at::empty({count, rows.size(1) / 3}, rows.options());
  visit_type(rows.scalar_type(), "attention", [&](auto zero) {
    using T = decltype(zero);
    const AttentionProblem<T> problem(rows, places, heads, encoding);
    const CacheView<T> view(cache);
    for (int64_t i = 0; i < count; ++i) {
      store_token(problem, i, view, view.at(sequences[i], lengths[i]));
    }
    T* result = mutable_values_of<T>(out);
    at::parallel_for(0, count * heads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) {
        const int64_t i = task / heads, head = task % heads;
        attend(problem, i, head, view, sequences[i], lengths[i] + 1,
               result + i * problem.hidden() + head * problem.head_dim);
      }
    });
  });
  return out;
}

}  // namespace radgpt
