#include "libradgpt/eval/metrics/word_dictionary.h"

#include <cmath>
#include <limits>

#include "libradgpt/eval/metrics/word_lines.h"

namespace radgpt {
namespace {

uint64_t edge(int32_t node, char32_t c) {
  return static_cast<uint64_t>(node) << 21 | c;  // a code point has 21 bits
}

}  // namespace

WordDictionary WordDictionary::read(const std::string& path) {
  WordDictionary dictionary;
  dictionary.children_.reserve(size_t{1} << 19);  // jieba's has 498,113 nodes
  WordLines lines(path);
  while (lines.next()) {
    lines.check(lines.fields().size() == 2 || lines.fields().size() == 3, "word frequency [tag]");
    dictionary.add(lines.text(0), lines.count(1));
  }
  lines.check(dictionary.total_ > 0, "at least one word");
  return dictionary;
}

void WordDictionary::add(std::u32string_view word, int64_t frequency) {
  int32_t node = kRoot;
  for (const char32_t c : word) {
    const auto next = static_cast<int32_t>(frequencies_.size());
    const auto [child, is_new] = children_.try_emplace(edge(node, c), next);
    if (is_new) frequencies_.push_back(0);
    node = child->second;
  }
  frequencies_[node] = frequency;
  total_ += frequency;
}

int32_t WordDictionary::child(int32_t node, char32_t c) const {
  const auto found = children_.find(edge(node, c));
  return found == children_.end() ? kNone : found->second;
}

int32_t WordDictionary::find(std::u32string_view text) const {
  int32_t node = kRoot;
  for (size_t i = 0; i < text.size() && node != kNone; ++i) node = child(node, text[i]);
  return node;
}

bool WordDictionary::has_word(std::u32string_view text) const {
  const int32_t node = find(text);
  return node != kNone && frequencies_[node] > 0;
}

std::vector<size_t> WordDictionary::best_split(std::u32string_view text) const {
  const double log_total = std::log(static_cast<double>(total_));
  std::vector<double> best(text.size() + 1, 0);  // log probability of text[i, end)
  std::vector<size_t> word_end(text.size(), 0);
  for (size_t i = text.size(); i-- > 0;) {
    best[i] = -std::numeric_limits<double>::infinity();
    int32_t node = kRoot;
    for (size_t end = i + 1; end <= text.size(); ++end) {
      node = child(node, text[end - 1]);
      if (node == kNone) break;
      if (frequencies_[node] == 0) continue;
      const auto count = static_cast<double>(frequencies_[node]);
      const double candidate = std::log(count) - log_total + best[end];
      if (candidate < best[i]) continue;
      best[i] = candidate;
      word_end[i] = end;
    }
    if (word_end[i] > 0) continue;
    word_end[i] = i + 1;
    best[i] = best[i + 1] - log_total;
  }
  std::vector<size_t> ends;
  for (size_t i = 0; i < text.size(); i = word_end[i]) ends.push_back(word_end[i]);
  return ends;
}

}  // namespace radgpt
