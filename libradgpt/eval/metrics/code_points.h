#pragma once

#include <string>
#include <string_view>

namespace radgpt {

/// The code points of a text that a model wrote. Each byte that belongs to no valid sequence
/// becomes U+FFFD: a model that generates bytes may stop in the middle of a character, and its
/// answer is scored all the same. (decode_utf8 in base/text.h refuses such text.)
std::u32string code_points(std::string_view text);

/// White space as Python's str.isspace() and `\s` have it, which the reference metrics split by.
bool is_white_space(char32_t c);

}  // namespace radgpt
