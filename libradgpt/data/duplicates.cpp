#include "libradgpt/data/duplicates.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <span>
#include <unordered_map>

#include "libradgpt/base/error.h"
#include "libradgpt/base/text.h"

namespace radgpt {
namespace {

constexpr size_t kShingle = 5;  // characters

bool is_space(char32_t c) {
  return c == 0x20 || (c >= 0x09 && c <= 0x0D) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200B) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000 || c == 0xFEFF;
}

std::u32string normalise(std::string_view text) {
  std::u32string result;
  for (char32_t c : decode_utf8(text)) {
    if (is_space(c)) continue;
    if (c >= 0xFF01 && c <= 0xFF5E) c -= 0xFEE0;  // full-width form of an ASCII character
    if (c >= U'A' && c <= U'Z') c += 0x20;
    result.push_back(c);
  }
  return result;
}

/// Texts that are equal after normalisation, as one.
struct DistinctText {
  std::u32string text;
  std::array<int, kSplits> count{};            // texts in each split
  std::array<int, kSplits> first{-1, -1, -1};  // their lowest index
  std::array<bool, kSplits> near{};            // splits that hold an alike text
  std::vector<int32_t> shingles;               // ascending ranks; the rarest 5-gram has rank 0
};

struct DistinctTexts {
  std::vector<DistinctText> texts;
  std::vector<int> of;  // for each original text, its place in `texts`
};

DistinctTexts collect(const std::vector<SplitText>& texts) {
  DistinctTexts result;
  std::unordered_map<std::u32string, int> places;
  for (size_t i = 0; i < texts.size(); ++i) {
    std::u32string text = normalise(texts[i].text);
    const auto [place, is_new] =
        places.try_emplace(std::move(text), static_cast<int>(result.texts.size()));
    if (is_new) result.texts.emplace_back().text = place->first;
    DistinctText& distinct = result.texts[static_cast<size_t>(place->second)];
    const auto split = static_cast<size_t>(texts[i].split);
    if (distinct.count[split]++ == 0) distinct.first[split] = static_cast<int>(i);
    result.of.push_back(place->second);
  }
  return result;
}

void count_exact(const std::vector<SplitText>& texts, const DistinctTexts& distinct,
                 Duplicates& result) {
  for (size_t i = 0; i < texts.size(); ++i) {
    const DistinctText& same = distinct.texts[static_cast<size_t>(distinct.of[i])];
    const auto split = static_cast<size_t>(texts[i].split);
    for (size_t other = 0; other < kSplits; ++other) {
      result.exact[split][other] += same.count[other] > (other == split ? 1 : 0);
    }
    for (size_t earlier = 0; earlier < split; ++earlier) {
      if (same.count[earlier] == 0) continue;
      result.leaks.push_back({static_cast<int>(i), same.first[earlier]});
      break;
    }
  }
}

/// Gives each text the set of its 5-grams (a shorter text is one gram), numbered from the rarest.
void make_shingles(std::vector<DistinctText>& texts) {
  std::unordered_map<std::u32string_view, int32_t> numbers;
  std::vector<int32_t> uses;
  for (DistinctText& text : texts) {
    const std::u32string_view whole = text.text;
    const size_t last = whole.size() < kShingle ? 0 : whole.size() - kShingle;
    for (size_t i = 0; i <= last; ++i) {
      text.shingles.push_back(
          numbers.try_emplace(whole.substr(i, kShingle), static_cast<int32_t>(numbers.size()))
              .first->second);
    }
    std::sort(text.shingles.begin(), text.shingles.end());
    text.shingles.erase(std::unique(text.shingles.begin(), text.shingles.end()),
                        text.shingles.end());
    uses.resize(numbers.size());
    for (const int32_t number : text.shingles) ++uses[static_cast<size_t>(number)];
  }
  std::vector<int32_t> by_rarity(uses.size());
  std::iota(by_rarity.begin(), by_rarity.end(), 0);
  std::stable_sort(by_rarity.begin(), by_rarity.end(), [&](int32_t a, int32_t b) {
    return uses[static_cast<size_t>(a)] < uses[static_cast<size_t>(b)];
  });
  std::vector<int32_t> rank(uses.size());
  for (size_t i = 0; i < by_rarity.size(); ++i) {
    rank[static_cast<size_t>(by_rarity[i])] = static_cast<int32_t>(i);
  }
  for (DistinctText& text : texts) {
    for (int32_t& shingle : text.shingles) shingle = rank[static_cast<size_t>(shingle)];
    std::sort(text.shingles.begin(), text.shingles.end());
  }
}

/// Smallest whole number >= value, where value may be a whole number up to rounding.
size_t ceiling(double value) { return static_cast<size_t>(std::ceil(value - 1e-9)); }

bool is_alike(std::span<const int32_t> a, std::span<const int32_t> b, double threshold) {
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

/// Finds, for each text, the splits that hold an alike one.
class NearSearch {
 public:
  NearSearch(std::vector<DistinctText>& texts, double threshold)
      : texts_(texts), threshold_(threshold), compared_with_(texts.size(), SIZE_MAX) {}

  void run() {
    std::vector<size_t> by_size(texts_.size());
    std::iota(by_size.begin(), by_size.end(), size_t{0});
    std::stable_sort(by_size.begin(), by_size.end(), [&](size_t a, size_t b) {
      return texts_[a].shingles.size() < texts_[b].shingles.size();
    });
    for (const size_t place : by_size) search(place);
  }

 private:
  struct Entry {
    size_t text;
    size_t position;  // of the shingle in the text's list
  };

  // A text shares one of its first (rarest) |x| - ceil(t |x|) + 1 shingles with every alike text,
  // so only those are looked up; with a longer one even the first |x| - ceil(2t / (1 + t) |x|) + 1,
  // so only those are indexed, the texts coming by size. At the first shared one, what may still
  // follow on both sides bounds the overlap (Xiao et al., "Efficient similarity joins for near
  // duplicate detection", WWW 2008).
  void search(size_t place) {
    const std::vector<int32_t>& shingles = texts_[place].shingles;
    const size_t size = shingles.size();
    const auto smallest = ceiling(threshold_ * static_cast<double>(size));
    const auto of_longer = ceiling(2 * threshold_ / (1 + threshold_) * static_cast<double>(size));
    for (size_t i = 0; i < size - smallest + 1; ++i) {
      auto& entries = index_[shingles[i]];
      for (const Entry& entry : entries) {
        const size_t other = texts_[entry.text].shingles.size();
        if (other < smallest || compared_with_[entry.text] == place) continue;
        compared_with_[entry.text] = place;
        const size_t overlap = std::min(size - i, other - entry.position);
        const auto needed =
            ceiling(threshold_ / (1 + threshold_) * static_cast<double>(size + other));
        if (overlap >= needed) compare(place, entry.text);
      }
      if (i < size - of_longer + 1) entries.push_back({place, i});
    }
  }

  void compare(size_t a, size_t b) {
    if (!is_news(a, b) && !is_news(b, a)) return;
    if (!is_alike(texts_[a].shingles, texts_[b].shingles, threshold_)) return;
    for (size_t split = 0; split < kSplits; ++split) {
      texts_[a].near[split] = texts_[a].near[split] || texts_[b].count[split] > 0;
      texts_[b].near[split] = texts_[b].near[split] || texts_[a].count[split] > 0;
    }
  }

  /// Whether `text` could learn of a split in which it has an alike text.
  bool is_news(size_t text, size_t other) const {
    for (size_t split = 0; split < kSplits; ++split) {
      if (texts_[other].count[split] > 0 && !texts_[text].near[split]) return true;
    }
    return false;
  }

  std::vector<DistinctText>& texts_;
  double threshold_;
  std::vector<size_t> compared_with_;  // the text that this one was last a candidate of
  std::unordered_map<int32_t, std::vector<Entry>> index_;
};

}  // namespace

std::string normalise_for_comparison(std::string_view text) { return encode_utf8(normalise(text)); }

Duplicates find_duplicates(const std::vector<SplitText>& texts, double threshold) {
  require(threshold > 0 && threshold <= 1,
          "duplicates: threshold must be above 0 and at most 1, got ", threshold);
  DistinctTexts distinct = collect(texts);
  Duplicates result;
  count_exact(texts, distinct, result);
  make_shingles(distinct.texts);
  NearSearch(distinct.texts, threshold).run();
  for (const DistinctText& text : distinct.texts) {
    for (size_t split = 0; split < kSplits; ++split) {
      for (size_t other = 0; other < kSplits; ++other) {
        if (text.near[other]) result.near[split][other] += text.count[split];
      }
    }
  }
  return result;
}

}  // namespace radgpt
