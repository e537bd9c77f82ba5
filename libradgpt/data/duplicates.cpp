#include "libradgpt/data/duplicates.h"

#include <algorithm>
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

/// Which texts of each split are copies of a text.
struct Copies {
  std::array<int, kSplits> count{};
  std::array<int, kSplits> first{-1, -1, -1};  // their lowest index

  void add(const Copies& other) {
    for (size_t split = 0; split < kSplits; ++split) {
      if (other.count[split] == 0) continue;
      const bool is_lowest = count[split] == 0 || other.first[split] < first[split];
      if (is_lowest) first[split] = other.first[split];
      count[split] += other.count[split];
    }
  }
};

/// Texts that are equal after normalisation, as one.
struct DistinctText {
  std::u32string text;
  std::vector<int> parts;  // their numbers, ascending
  Copies equal;
  Copies copies;  // those, and the ones that hold all its parts or nothing else
};

struct DistinctTexts {
  std::vector<DistinctText> texts;
  std::vector<int> of;  // for each original text, its place in `texts`
};

/// Numbers the parts of texts; equal ones have one number.
class PartNumbers {
 public:
  std::vector<int> of(const SplitText& text) {
    std::vector<int> result;
    for (const std::string& part : text.parts) result.push_back(number(part));
    if (result.empty()) result.push_back(number(text.text));
    std::sort(result.begin(), result.end());
    result.erase(std::unique(result.begin(), result.end()), result.end());
    return result;
  }
  size_t size() const { return numbers_.size(); }

 private:
  int number(const std::string& part) {
    return numbers_.try_emplace(normalise(part), static_cast<int>(numbers_.size())).first->second;
  }

  std::unordered_map<std::u32string, int> numbers_;
};

/// Makes a text and each one that holds all its parts copies of each other.
void join_contained(std::vector<DistinctText>& texts, size_t parts) {
  std::vector<std::vector<size_t>> with(parts);
  for (size_t i = 0; i < texts.size(); ++i) {
    for (const int part : texts[i].parts) with[static_cast<size_t>(part)].push_back(i);
  }
  const auto uses = [&](int part) { return with[static_cast<size_t>(part)].size(); };
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::vector<int>& own = texts[i].parts;
    const int rarest =
        *std::min_element(own.begin(), own.end(), [&](int a, int b) { return uses(a) < uses(b); });
    for (const size_t other : with[static_cast<size_t>(rarest)]) {
      const std::vector<int>& all = texts[other].parts;
      if (other == i || !std::includes(all.begin(), all.end(), own.begin(), own.end())) continue;
      texts[i].copies.add(texts[other].equal);
      texts[other].copies.add(texts[i].equal);
    }
  }
}

DistinctTexts collect(const std::vector<SplitText>& texts) {
  DistinctTexts result;
  PartNumbers numbers;
  std::unordered_map<std::u32string, int> places;
  for (size_t i = 0; i < texts.size(); ++i) {
    std::u32string text = normalise(texts[i].text);
    const auto [place, is_new] =
        places.try_emplace(std::move(text), static_cast<int>(result.texts.size()));
    if (is_new) result.texts.push_back({place->first, numbers.of(texts[i]), {}, {}});
    Copies one;
    one.count[static_cast<size_t>(texts[i].split)] = 1;
    one.first[static_cast<size_t>(texts[i].split)] = static_cast<int>(i);
    result.texts[static_cast<size_t>(place->second)].equal.add(one);
    result.of.push_back(place->second);
  }
  for (DistinctText& text : result.texts) text.copies = text.equal;
  join_contained(result.texts, numbers.size());
  return result;
}

void count_exact(const std::vector<SplitText>& texts, const DistinctTexts& distinct,
                 Duplicates& result) {
  for (size_t i = 0; i < texts.size(); ++i) {
    const Copies& same = distinct.texts[static_cast<size_t>(distinct.of[i])].copies;
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
      near_texts.back().splits[split] = text.equal.count[split] > 0;
    }
  }
  const std::vector<SplitSet> near = find_near_splits(near_texts, threshold);
  for (size_t i = 0; i < texts.size(); ++i) {
    for (size_t split = 0; split < kSplits; ++split) {
      for (size_t other = 0; other < kSplits; ++other) {
        if (near[i][other]) result.near[split][other] += texts[i].equal.count[split];
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
    const Copies& same = distinct.texts[static_cast<size_t>(distinct.of[i])].copies;
    bool is_held_out = false;
    for (size_t later = static_cast<size_t>(texts[i].split) + 1; later < kSplits; ++later) {
      is_held_out |= same.count[later] > 0;
    }
    if (is_held_out) seen.push_back(i);
  }
  return seen;
}

}  // namespace radgpt
