#include "libradgpt/base/text.h"

#include <array>
#include <string>

#include "libradgpt/base/error.h"
#include "tests/catch.h"

namespace radgpt {
namespace {

TEST_CASE("Text: finds the first byte that is not UTF-8") {
  CHECK_FALSE(find_invalid_utf8(""));
  CHECK_FALSE(find_invalid_utf8("双肺 8mm \xF0\x9F\xAB\x81"));
  CHECK(find_invalid_utf8("ab\xFF") == 2);
  CHECK(find_invalid_utf8("a\xC0\xAF") == 1);         // overlong '/'
  CHECK(find_invalid_utf8("\xED\xA0\x80") == 0);      // surrogate U+D800
  CHECK(find_invalid_utf8("\xF4\x90\x80\x80") == 0);  // U+110000
  CHECK(find_invalid_utf8("肺\xE8\x82") == 3);        // cut short
  CHECK(find_invalid_utf8("\x80") == 0);              // continuation alone
}

TEST_CASE("Text: code points survive a round trip") {
  const std::u32string points{U'\0', U'a', U'é', U'肺', char32_t{0x1FAC1}, char32_t{0x10FFFF}};
  const std::string text = encode_utf8(points);
  CHECK(text.size() == 1 + 1 + 2 + 3 + 4 + 4);
  CHECK(decode_utf8(text) == points);
}

TEST_CASE("Text: refuses what is no text, without quoting it") {
  CHECK_THROWS_WITH(decode_utf8("secret\xFF"),
                    "text: must be valid UTF-8, got an invalid byte at 6");
  CHECK_THROWS_AS(encode_utf8(std::u32string(1, char32_t{0xD800})), Error);
  CHECK_THROWS_AS(encode_utf8(std::u32string(1, char32_t{0x110000})), Error);
}

TEST_CASE("Text: the nearest name is one that a slip of the finger reaches") {
  const std::array<std::string_view, 4> names{"rank", "alpha", "dropout", "seed"};
  CHECK(nearest_name("rnak", names) == "rank");
  CHECK(nearest_name("alpa", names) == "alpha");
  CHECK(nearest_name("dropuot_", names) == "dropout");
  CHECK(nearest_name("sead", names) == "seed");
  CHECK(nearest_name("learning_rate", names).empty());
  CHECK(nearest_name("", names).empty());
}

}  // namespace
}  // namespace radgpt
