#include "libradgpt/config/scalar.h"

#include <charconv>
#include <cmath>
#include <regex>

#include "libradgpt/base/error.h"

namespace radgpt {
namespace {

constexpr size_t kShownCharacters = 40;

/// No number that a recipe can mean is longer; std::regex recurses over its input.
constexpr size_t kLongestNumber = 64;

template <typename Number>
std::optional<Number> parse(std::string_view text, const std::regex& grammar) {
  if (text.size() > kLongestNumber || !std::regex_match(text.begin(), text.end(), grammar)) {
    return std::nullopt;
  }
  Number value{};
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc()) return std::nullopt;
  return value;
}

}  // namespace

std::optional<bool> parse_flag(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return std::nullopt;
}

std::optional<int64_t> parse_integer(std::string_view text) {
  static const std::regex grammar("-?(0|[1-9][0-9]*)");
  return parse<int64_t>(text, grammar);
}

std::optional<double> parse_number(std::string_view text) {
  static const std::regex grammar("-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][-+]?[0-9]+)?");
  return parse<double>(text, grammar);
}

std::string number_text(double value) {
  char text[32];
  const auto result = std::to_chars(text, text + sizeof(text), value);
  return {text, result.ptr};
}

std::string quoted_for_message(std::string_view text) {
  std::string shown = "\"";
  size_t characters = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool starts_character = (byte & 0xC0) != 0x80;
    if (starts_character && ++characters > kShownCharacters) return shown + "…\"";
    shown += byte < 0x20 || byte == 0x7F ? ' ' : c;
  }
  return shown + "\"";
}

std::string key_for_message(std::string_view key) {
  const bool is_name =
      key.size() <= kShownCharacters &&
      key.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
          std::string_view::npos;
  return is_name ? std::string(key) : concat("of ", key.size(), " bytes");
}

}  // namespace radgpt
