#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace radgpt {

// How recipes write scalars: `true` and `false` alone are flags; numbers are decimal, without
// leading zeros, separators, nan or inf. What does not fit the type at all (99999999999999999999)
// is given as nothing, like what is no number.

std::optional<bool> parse_flag(std::string_view text);
std::optional<int64_t> parse_integer(std::string_view text);
std::optional<double> parse_number(std::string_view text);

/// The shortest text that parse_number reads as exactly `value`.
std::string number_text(double value);

/// A value for a message: in quotes, of at most 40 characters, without control characters.
std::string quoted_for_message(std::string_view text);

/// A key for a message: as it is if it looks like a name, else only its length. So the text of a
/// file that is no recipe at all is not repeated.
std::string key_for_message(std::string_view key);

}  // namespace radgpt
