#include "libradgpt/data/near_duplicates.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <unordered_map>

namespace radgpt {
namespace {

constexpr size_t kGram = 5;  // characters

/// A set of 5-grams as ascending ranks; the rarest gram of all texts has rank 0.
using Grams = std::vector<int32_t>;

void sort_unique(Grams& grams) {
  std::sort(grams.begin(), grams.end());
  grams.erase(std::unique(grams.begin(), grams.end()), grams.end());
}

/// ranks[n] is the place of n when all are sorted by uses.
std::vector<int32_t> rank_by_rarity(const std::vector<int32_t>& uses) {
  std::vector<int32_t> order(uses.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return uses[static_cast<size_t>(a)] < uses[static_cast<size_t>(b)];
  });
  std::vector<int32_t> ranks(uses.size());
  for (size_t i = 0; i < order.size(); ++i) {
    ranks[static_cast<size_t>(order[i])] = static_cast<int32_t>(i);
  }
  return ranks;
}

std::vector<Grams> make_grams(const std::vector<NearText>& texts) {
  std::unordered_map<std::u32string_view, int32_t> numbers;
  std::vector<int32_t> uses;
  std::vector<Grams> grams(texts.size());
  for (size_t t = 0; t < texts.size(); ++t) {
    const std::u32string_view text = texts[t].text;
    const size_t last = text.size() < kGram ? 0 : text.size() - kGram;
    for (size_t i = 0; i <= last; ++i) {
      const auto number = static_cast<int32_t>(numbers.size());
      grams[t].push_back(numbers.try_emplace(text.substr(i, kGram), number).first->second);
    }
    sort_unique(grams[t]);
    uses.resize(numbers.size());
    for (const int32_t number : grams[t]) ++uses[static_cast<size_t>(number)];
  }
  const std::vector<int32_t> ranks = rank_by_rarity(uses);
  for (Grams& set : grams) {
    for (int32_t& gram : set) gram = ranks[static_cast<size_t>(gram)];
    std::sort(set.begin(), set.end());
  }
  return grams;
}

/// Smallest whole number >= value > 0, where value may be a whole number up to rounding.
size_t ceiling(double value) {
  return std::max(size_t{1}, static_cast<size_t>(std::ceil(value - 1e-9)));
}

bool is_alike(const Grams& a, const Grams& b, double threshold) {
  size_t common = 0;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    if (a[i] == b[j]) ++common;
    const bool step_a = a[i] <= b[j];
    const bool step_b = b[j] <= a[i];
    i += step_a;
    j += step_b;
  }
  const size_t together = a.size() + b.size() - common;
  return static_cast<double>(common) >= threshold * static_cast<double>(together);
}

class NearSearch {
 public:
  NearSearch(const std::vector<NearText>& texts, double threshold)
      : texts_(texts),
        threshold_(threshold),
        grams_(make_grams(texts)),
        near_(texts.size()),
        compared_with_(texts.size(), SIZE_MAX) {}

  std::vector<SplitSet> run() {
    std::vector<size_t> by_size(texts_.size());
    std::iota(by_size.begin(), by_size.end(), size_t{0});
    std::stable_sort(by_size.begin(), by_size.end(),
                     [&](size_t a, size_t b) { return grams_[a].size() < grams_[b].size(); });
    for (const size_t text : by_size) search(text);
    return std::move(near_);
  }

 private:
  struct Entry {
    size_t text;
    size_t position;  // of the gram in the text's set
  };

  // A text shares one of its first (rarest) |x| - ceil(t |x|) + 1 grams with every alike text, so
  // only those are looked up; with a longer one even one of the first
  // |x| - ceil(2t / (1 + t) |x|) + 1, so only those are indexed, as the texts come by size. At the
  // first shared gram, what may still follow on both sides bounds the overlap (Xiao et al.,
  // "Efficient similarity joins for near duplicate detection", WWW 2008).
  void search(size_t text) {
    const Grams& grams = grams_[text];
    const auto size = static_cast<double>(grams.size());
    const size_t smallest = ceiling(threshold_ * size);
    const size_t looked_up = grams.size() - smallest + 1;
    const size_t indexed = grams.size() - ceiling(2 * threshold_ / (1 + threshold_) * size) + 1;
    for (size_t i = 0; i < looked_up; ++i) {
      auto& entries = index_[grams[i]];
      for (const Entry& entry : entries) {
        const size_t other = grams_[entry.text].size();
        if (other < smallest || compared_with_[entry.text] == text) continue;
        compared_with_[entry.text] = text;
        const size_t overlap = std::min(grams.size() - i, other - entry.position);
        const auto together = static_cast<double>(grams.size() + other);
        if (overlap >= ceiling(threshold_ / (1 + threshold_) * together)) {
          compare(text, entry.text);
        }
      }
      if (i < indexed) entries.push_back({text, i});
    }
  }

  void compare(size_t a, size_t b) {
    const bool is_known = (texts_[b].splits & ~near_[a]).none() &&  // archives have thousands of
                          (texts_[a].splits & ~near_[b]).none();    // alike normal reports
    if (is_known || !is_alike(grams_[a], grams_[b], threshold_)) return;
    near_[a] |= texts_[b].splits;
    near_[b] |= texts_[a].splits;
  }

  const std::vector<NearText>& texts_;
  double threshold_;
  std::vector<Grams> grams_;
  std::vector<SplitSet> near_;
  std::vector<size_t> compared_with_;  // the text that this one was last a candidate of
  std::unordered_map<int32_t, std::vector<Entry>> index_;
};

}  // namespace

std::vector<SplitSet> find_near_splits(const std::vector<NearText>& texts, double threshold) {
  return NearSearch(texts, threshold).run();
}

}  // namespace radgpt
