#include "libradgpt/data/duplicates.h"

#include <unordered_map>

#include "libradgpt/base/error.h"
#include "libradgpt/base/text.h"
#include "libradgpt/data/near_duplicates.h"

namespace radgpt {
namespace {

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
      const auto seen = static_cast<size_t>(same.first[earlier]);
      result.leaks.push_back({texts[i].source, texts[seen].source});
      break;
    }
  }
}

void count_near(const std::vector<DistinctText>& texts, double threshold, Duplicates& result) {
  std::vector<NearText> near_texts;
  for (const DistinctText& text : texts) {
    near_texts.push_back({text.text, {}});
    for (size_t split = 0; split < kSplits; ++split) {
      near_texts.back().splits[split] = text.count[split] > 0;
    }
  }
  const std::vector<SplitSet> near = find_near_splits(near_texts, threshold);
  for (size_t i = 0; i < texts.size(); ++i) {
    for (size_t split = 0; split < kSplits; ++split) {
      for (size_t other = 0; other < kSplits; ++other) {
        if (near[i][other]) result.near[split][other] += texts[i].count[split];
      }
    }
  }
}

}  // namespace

std::string normalise_for_comparison(std::string_view text) { return encode_utf8(normalise(text)); }

Duplicates find_duplicates(const std::vector<SplitText>& texts, double threshold) {
  require(threshold >= 0 && threshold <= 1, "duplicates: threshold must be in [0, 1], got ",
          threshold);
  DistinctTexts distinct = collect(texts);
  Duplicates result;
  count_exact(texts, distinct, result);
  if (threshold == 0) return result;
  count_near(distinct.texts, threshold, result);
  return result;
}

std::vector<size_t> find_seen(const std::vector<SplitText>& texts) {
  const DistinctTexts distinct = collect(texts);
  std::vector<size_t> seen;
  for (size_t i = 0; i < texts.size(); ++i) {
    const DistinctText& same = distinct.texts[static_cast<size_t>(distinct.of[i])];
    bool is_held_out = false;
    for (size_t later = static_cast<size_t>(texts[i].split) + 1; later < kSplits; ++later) {
      is_held_out |= same.count[later] > 0;
    }
    if (is_held_out) seen.push_back(i);
  }
  return seen;
}

}  // namespace radgpt
