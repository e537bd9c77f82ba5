#include <algorithm>
#include <vector>

#include "kernels/primitives/row_loops.h"
#include "kernels/segment_attention/attention_problem_cpu.h"
#include "kernels/segment_attention/cached_attention.h"

namespace radgpt::kernels {

namespace {

/// One head of one query over the entries of its sequence.
template <typename T>
void attend(const CachedAttention<T>& call, int64_t token, int64_t head) {
  using C = Compute<T>;
  const AttentionProblem<T> problem(call.input);
  const int64_t dim = problem.head_dim, hidden = problem.hidden(), entries = call.entries[token];
  const int64_t width = round_up(entries, kLanes<C>);
  const int64_t first = call.sequences[token] * call.cache.capacity * hidden + head * dim;
  std::vector<C> query(dim), scores(width), positions(width), sums(dim);
  rotate_head(problem.query(token, head), dim, problem.rotation(token), query.data());
  for (int64_t j = 0; j < entries; ++j) {
    scores[j] = dot_row(query.data(), call.cache.keys + first + j * hidden, dim);
    positions[j] = static_cast<C>(j - entries + 1);
  }
  C sum = 0;
  exponentiate_scores<C>(
      {scores.data(), entries, width, positions.data(), C{0}, problem.scale(), problem.slope(head)},
      &sum);
  for (int64_t j = 0; j < entries; ++j) {
    add_scaled_row(call.cache.values + first + j * hidden, scores[j], dim, sums.data());
  }
  round_row(sums.data(), dim, call.out + token * hidden + head * dim, C{1} / sum);
}

}  // namespace

template <typename T>
void cache_store_cpu(const CacheStore<T>& call, const Workers& workers) {
  const AttentionProblem<T> problem(call.input);
  const int64_t dim = problem.head_dim, hidden = problem.hidden();
  workers.run(call.count, [&](int64_t begin, int64_t end) {
    std::vector<Compute<T>> key(dim);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t token = call.tokens[i], to = call.rows[i] * hidden;
      for (int64_t head = 0; head < problem.heads; ++head) {
        rotate_head(problem.key(token, head), dim, problem.rotation(token), key.data());
        round_row(key.data(), dim, call.cache.keys + to + head * dim);
      }
      std::copy_n(problem.value(token, 0), hidden, call.cache.values + to);
    }
  });
}

template <typename T>
void cached_attention_cpu(const CachedAttention<T>& call, const Workers& workers) {
  const int64_t heads = call.input.heads;
  workers.run(call.input.tokens * heads, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) attend(call, task / heads, task % heads);
  });
}

template void cache_store_cpu(const CacheStore<float>&, const Workers&);
template void cache_store_cpu(const CacheStore<double>&, const Workers&);
template void cache_store_cpu(const CacheStore<BFloat16>&, const Workers&);
template void cached_attention_cpu(const CachedAttention<float>&, const Workers&);
template void cached_attention_cpu(const CachedAttention<double>&, const Workers&);
template void cached_attention_cpu(const CachedAttention<BFloat16>&, const Workers&);

}  // namespace radgpt::kernels
