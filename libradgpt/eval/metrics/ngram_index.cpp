#include "libradgpt/eval/metrics/ngram_index.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "libradgpt/base/error.h"
#include "libradgpt/eval/metrics/code_points.h"

namespace radgpt {
namespace {

/// A gram is its code points, 21 bits each; its count is how often it occurs. Ascending by gram, so
/// that sums over it are always taken in the same order.
std::vector<std::pair<uint64_t, int>> count_grams(std::string_view text) {
  const std::u32string characters = code_points(text);
  std::vector<uint64_t> grams;
  for (size_t i = 0; i + 1 < characters.size(); ++i) {
    const uint64_t pair = uint64_t{characters[i]} << 21 | characters[i + 1];
    grams.push_back(pair);
    if (i + 2 < characters.size()) grams.push_back(pair << 21 | characters[i + 2]);
  }
  std::sort(grams.begin(), grams.end());
  std::vector<std::pair<uint64_t, int>> counts;
  for (const uint64_t gram : grams) {
    if (counts.empty() || counts.back().first != gram) counts.emplace_back(gram, 0);
    ++counts.back().second;
  }
  return counts;
}

}  // namespace

NgramIndex::NgramIndex(std::span<const std::string> texts) : texts_(texts.size()) {
  require(!texts.empty(), "n-gram index: must have at least one text, got none");
  for (size_t text = 0; text < texts.size(); ++text) {
    for (const auto& [gram, count] : count_grams(texts[text])) {
      grams_[gram].postings.push_back({static_cast<int>(text), static_cast<float>(count)});
    }
  }
  std::vector<double> squares(texts.size(), 0);
  const auto all = static_cast<double>(texts.size());
  for (auto& [key, gram] : grams_) {
    gram.inverse_frequency =
        1 + std::log((1 + all) / (1.0 + static_cast<double>(gram.postings.size())));
    for (Posting& posting : gram.postings) {
      posting.weight *= static_cast<float>(gram.inverse_frequency);
      squares[posting.text] += double{posting.weight} * posting.weight;
    }
  }
  for (auto& [key, gram] : grams_) {
    for (Posting& posting : gram.postings) {
      posting.weight /= static_cast<float>(std::sqrt(squares[posting.text]));
    }
  }
}

int NgramIndex::most_similar(std::string_view query) const {
  std::vector<double> similarity(texts_, 0);
  for (const auto& [key, count] : count_grams(query)) {
    const auto found = grams_.find(key);
    if (found == grams_.end()) continue;
    const double weight = count * found->second.inverse_frequency;
    for (const Posting& posting : found->second.postings) {
      similarity[posting.text] += weight * posting.weight;
    }
  }
  const auto best = std::max_element(similarity.begin(), similarity.end());
  return static_cast<int>(best - similarity.begin());
}

}  // namespace radgpt
