#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace radgpt {

/// @file
/// How recipes write scalars.

/// `true` and `false` alone are flags; anything else gives nothing.
std::optional<bool> parse_flag(std::string_view text);
/// Decimal, without leading zeros or separators. What does not fit the type (99999999999999999999)
/// gives nothing, like what is no number.
std::optional<int64_t> parse_integer(std::string_view text);
/// The same with fraction and exponent; neither nan nor inf.
std::optional<double> parse_number(std::string_view text);

/// The shortest text that parse_number reads as exactly `value`.
std::string number_text(double value);

/// A value for a message: in quotes, of at most 40 characters, without control characters.
std::string quoted_for_message(std::string_view text);

/// A key for a message: as it is if it looks like a name, else only its length. So the text of a
/// file that is no recipe at all is not repeated.
std::string key_for_message(std::string_view key);

}  // namespace radgpt
