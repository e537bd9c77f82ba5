#include "libradgpt/eval/metrics/sentence_words.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <string_view>

#include "libradgpt/eval/metrics/code_points.h"

namespace radgpt {
namespace {

/// Length of a sentence end at the beginning of the text; 0 if there is none.
using SentenceEnd = std::function<size_t(std::u32string_view)>;

bool is_one_of(char32_t c, std::u32string_view set) { return set.find(c) != set.npos; }

/// A line feed after each sentence end whose next character is not in `never_before`. That
/// character cannot itself begin the next match, as in a regular expression that consumes it.
std::u32string break_after(const SentenceEnd& end_at, std::u32string_view never_before,
                           std::u32string_view text) {
  std::u32string broken;
  while (!text.empty()) {
    const size_t end = end_at(text);
    const bool breaks = end > 0 && end < text.size() && !is_one_of(text[end], never_before);
    const size_t taken = breaks ? end : 1;
    broken += text.substr(0, taken);
    if (breaks) {
      broken += U'\n';
      broken += text[end];
    }
    text.remove_prefix(breaks ? end + 1 : 1);
  }
  return broken;
}

std::u32string break_sentences(std::u32string text) {
  static const std::u32string_view kEnds = U"。！？?";
  static const std::u32string_view kQuotes = U"”’";
  const auto mark = [](std::u32string_view rest) { return is_one_of(rest[0], kEnds) ? 1 : 0; };
  const auto dots = [](std::u32string_view rest) { return rest.starts_with(U"......") ? 6 : 0; };
  const auto ellipsis = [](std::u32string_view rest) { return rest.starts_with(U"……") ? 2 : 0; };
  const auto quoted = [](std::u32string_view rest) {
    const bool ends = rest.size() > 1 && is_one_of(rest[0], kEnds) && is_one_of(rest[1], kQuotes);
    return ends ? 2 : 0;
  };
  text = break_after(mark, kQuotes, text);
  text = break_after(dots, kQuotes, text);
  text = break_after(ellipsis, kQuotes, text);
  return break_after(quoted, U"，。！？?", text);
}

void append_words(std::u32string_view line, std::vector<std::u32string>& words) {
  const size_t before = words.size();
  while (!line.empty()) {
    const auto end = std::find_if(line.begin(), line.end(), is_white_space);
    if (end != line.begin()) words.emplace_back(line.begin(), end);
    const auto next = std::find_if_not(end, line.end(), is_white_space);
    line.remove_prefix(static_cast<size_t>(next - line.begin()));
  }
  if (words.size() == before) words.emplace_back();
}

}  // namespace

std::vector<std::u32string> sentence_words(std::span<const std::string> tokens) {
  std::u32string joined;
  for (const std::string& token : tokens) {
    if (!joined.empty()) joined += U' ';
    joined += code_points(token);
  }
  std::u32string text = break_sentences(joined);
  while (!text.empty() && is_white_space(text.back())) text.pop_back();
  std::vector<std::u32string> words;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(U'\n', begin), text.size());
    if (end > begin) append_words(std::u32string_view(text).substr(begin, end - begin), words);
    begin = end + 1;
  }
  return words;
}

}  // namespace radgpt
