#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace radgpt {

/// The index of the first byte that is not part of valid UTF-8 (no overlong forms, surrogates or
/// values above U+10FFFF, no sequence cut short); nothing if the text is valid.
std::optional<size_t> find_invalid_utf8(std::string_view text);

/// The code points of `text`. Throws Error(kInput) with the byte's index if it is not valid UTF-8.
std::u32string decode_utf8(std::string_view text);

/// Throws Error(kInput) for a surrogate or a value above U+10FFFF.
std::string encode_utf8(std::u32string_view code_points);

/// The candidate fewest single-character edits (insert, delete, replace, swap of neighbours) away
/// from `word`, for "did you mean …?"; empty if all are more than a third of the word away.
std::string nearest_name(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace radgpt
