#include "libradgpt/base/text.h"

#include <utf8.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <numeric>
#include <vector>

#include "libradgpt/base/error.h"

namespace radgpt {
namespace {

/// Optimal string alignment: Levenshtein's distance with swaps of neighbours.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1);
  std::vector<size_t> above(b.size() + 1);
  std::vector<size_t> row(b.size() + 1);
  std::iota(above.begin(), above.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool differ = a[i - 1] != b[j - 1];
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (differ ? 1 : 0)});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, above);
    std::swap(above, row);
  }
  return above[b.size()];
}

}  // namespace

std::optional<size_t> find_invalid_utf8(std::string_view text) {
  const auto fault = utf8::find_invalid(text.begin(), text.end());
  if (fault == text.end()) return std::nullopt;
  return static_cast<size_t>(fault - text.begin());
}

std::u32string decode_utf8(std::string_view text) {
  if (const auto fault = find_invalid_utf8(text)) {
    fail(ErrorKind::kInput, "text: must be valid UTF-8, got an invalid byte at ", *fault);
  }
  std::u32string code_points;
  code_points.reserve(text.size());
  for (auto next = text.begin(); next != text.end();) {
    code_points.push_back(static_cast<char32_t>(utf8::next(next, text.end())));
  }
  return code_points;
}

std::string encode_utf8(std::u32string_view code_points) {
  std::string text;
  text.reserve(code_points.size());
  for (const char32_t code_point : code_points) {
    require(code_point <= 0x10FFFF && (code_point < 0xD800 || code_point > 0xDFFF),
            "text: must consist of Unicode scalar values, got number ", uint32_t{code_point});
    utf8::append(code_point, std::back_inserter(text));
  }
  return text;
}

std::string nearest_name(std::string_view word, std::span<const std::string_view> candidates) {
  size_t best_distance = std::max<size_t>(word.size() / 3, 1) + 1;
  std::string best;
  for (const std::string_view candidate : candidates) {
    const size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace radgpt
