#include "libradgpt/eval/metrics/code_points.h"

#include "libradgpt/base/text.h"

namespace radgpt {

std::u32string code_points(std::string_view text) {
  std::u32string result;
  while (const auto fault = find_invalid_utf8(text)) {
    result += decode_utf8(text.substr(0, *fault));
    result += U'\uFFFD';
    text.remove_prefix(*fault + 1);
  }
  return result + decode_utf8(text);
}

bool is_white_space(char32_t c) {
  constexpr std::u32string_view kSpaces = U"\u0085\u00A0\u1680\u2028\u2029\u202F\u205F\u3000";
  const auto is_between = [c](char32_t first, char32_t last) { return first <= c && c <= last; };
  return is_between(0x09, 0x0D) || is_between(0x1C, 0x20) || is_between(0x2000, 0x200A) ||
         kSpaces.find(c) != kSpaces.npos;
}

}  // namespace radgpt
