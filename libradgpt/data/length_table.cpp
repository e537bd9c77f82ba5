#include "libradgpt/data/length_table.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "libradgpt/base/random.h"

namespace radgpt {
namespace {

/// The smallest length that at least `percent` of the (ascending) lengths do not exceed.
int32_t percentile(const std::vector<int32_t>& lengths, size_t percent) {
  return lengths[(lengths.size() * percent + 99) / 100 - 1];
}

/// As the usual fine-tuning scripts lay out a shuffled epoch.
int64_t count_padded(const TokenDataset& dataset, uint64_t seed) {
  constexpr size_t kBatch = 8;
  std::vector<int32_t> lengths;
  for (int32_t i = 0; i < dataset.size(); ++i) lengths.push_back(dataset.length(i));
  Random random(seed, RandomStream::kOrder);
  for (size_t left = lengths.size(); left > 1; --left) {
    std::swap(lengths[left - 1], lengths[random.next_below(static_cast<uint32_t>(left))]);
  }
  int64_t tokens = 0;
  for (size_t begin = 0; begin < lengths.size(); begin += kBatch) {
    const size_t end = std::min(begin + kBatch, lengths.size());
    const auto first = lengths.begin() + static_cast<ptrdiff_t>(begin);
    const auto last = lengths.begin() + static_cast<ptrdiff_t>(end);
    tokens += static_cast<int64_t>(end - begin) * *std::max_element(first, last);
  }
  return tokens;
}

}  // namespace

std::vector<LengthRow> length_table(const TokenDataset& dataset) {
  std::map<int32_t, std::vector<int32_t>> lengths;
  std::map<int32_t, int64_t> targets;
  for (int32_t i = 0; i < dataset.size(); ++i) {
    const TokenExample& example = dataset.examples[static_cast<size_t>(i)];
    lengths[example.task].push_back(dataset.length(i));
    targets[example.task] += example.target_count();
  }
  std::vector<LengthRow> rows;
  for (auto& [task, all] : lengths) {
    std::sort(all.begin(), all.end());
    rows.push_back({.task = task,
                    .examples = static_cast<int64_t>(all.size()),
                    .tokens = std::accumulate(all.begin(), all.end(), int64_t{0}),
                    .targets = targets[task],
                    .p50 = percentile(all, 50),
                    .p90 = percentile(all, 90),
                    .p99 = percentile(all, 99),
                    .longest = all.back()});
  }
  return rows;
}

EpochTokens count_epoch_tokens(const TokenDataset& dataset, const PackingOptions& options) {
  EpochTokens result;
  result.padded = count_padded(dataset, options.seed);
  for (int32_t i = 0; i < dataset.size(); ++i) {
    result.packed += dataset.length(i);
    result.targets += dataset.examples[static_cast<size_t>(i)].target_count();
  }
  PackingOptions shared = options;
  shared.sharing = Sharing::kShared;
  for (const PackPlan& pack : plan_epoch(dataset, shared, 0)) result.shared += pack.tokens;
  result.packs = static_cast<int64_t>(plan_epoch(dataset, options, 0).size());
  if (result.packs > 0) {
    const bool is_shared = options.sharing == Sharing::kShared;
    result.fill = static_cast<double>(is_shared ? result.shared : result.packed) /
                  (static_cast<double>(result.packs) * options.pack_tokens);
  }
  return result;
}

}  // namespace radgpt
