#include "libradgpt/data/tokenizer.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "libradgpt/base/error.h"
#include "libradgpt/base/files.h"
#include "libradgpt/base/hash.h"
#include "libradgpt/base/random.h"
#include "libradgpt/base/text.h"
#include "tests/catch.h"
#include "tests/data/scratch_file.h"
#include "tests/data/small_tokenizer.h"

using namespace radgpt;

namespace {

using Ids = std::vector<int32_t>;

/// Ids that no text may give: control, unknown and every reserved symbol.
bool is_special(int32_t id) { return id < kNewlineId || (id >= 101 && id < kFirstByteId); }

Ids bytes_as_ids(std::string_view bytes) {
  Ids ids;
  for (const char byte : bytes) ids.push_back(kFirstByteId + static_cast<uint8_t>(byte));
  return ids;
}

/// Text that mixes what is common, rare, special to sentencepiece, and reserved.
std::string random_text(Random& random) {
  static const std::vector<std::string> parts = {"双肺",
                                                 "结节",
                                                 "8mm",
                                                 " ",
                                                 "  ",
                                                 "\n",
                                                 "\t",
                                                 "\r\n",
                                                 "。。。",
                                                 "...",
                                                 "<s>",
                                                 "</s>",
                                                 "<unk>",
                                                 "<SEP>",
                                                 "<CLS>",
                                                 "<reserved_106>",
                                                 "<reserved_107>",
                                                 "<reserved_999>",
                                                 "<reserved_",
                                                 "106>",
                                                 "\xE2\x96\x81",
                                                 "\xE2\x96\x85",
                                                 "\xE2\x81\x87",
                                                 "\xEF\xBF\xBD",
                                                 "\xEF\xBB\xBF",
                                                 "<0x0A>",
                                                 "<html>",
                                                 "<",
                                                 ">",
                                                 "```",
                                                 std::string(1, '\0')};
  std::string text;
  const uint32_t length = random.next_below(12);
  for (uint32_t i = 0; i < length; ++i) {
    if (random.next_below(2) == 0) {
      text += parts[random.next_below(static_cast<uint32_t>(parts.size()))];
      continue;
    }
    uint32_t point = random.next_below(0x110000 - 0x800);
    if (random.next_below(2) == 0) point = random.next_below(0x3000);
    if (point >= 0xD800) point += 0x800;
    text += encode_utf8(std::u32string(1, static_cast<char32_t>(point)));
  }
  return text;
}

void check_round_trips(const Tokenizer& tokenizer, uint64_t seed, int count) {
  Random random(seed, RandomStream::kSimulation);
  for (int i = 0; i < count; ++i) {
    const std::string text = random_text(random);
    const Ids ids = tokenizer.encode(text);
    if (tokenizer.decode(ids) != text) FAIL("seed " << seed << " text " << i << " came back other");
    for (const int32_t id : ids) {
      if (is_special(id)) FAIL("seed " << seed << " text " << i << " gave the special id " << id);
    }
  }
}

std::string message_of(const std::string& model) {
  try {
    Tokenizer::from_bytes(model, "m");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    return error.what();
  }
  return "accepted";
}

std::string bytes_of(const Tokenizer& tokenizer) {
  const ScratchFile file("");
  tokenizer.save(file.path());
  return read_file(file.path(), 1 << 24);
}

/// `bytes` with every `from` as `to`, which must be as long.
std::string replace_all(std::string bytes, std::string_view from, std::string_view to) {
  REQUIRE(from.size() == to.size());
  REQUIRE(bytes.find(from) != std::string::npos);
  for (size_t at = 0; (at = bytes.find(from, at)) != std::string::npos; at += to.size()) {
    bytes.replace(at, to.size(), to);
  }
  return bytes;
}

}  // namespace

TEST_CASE("Tokenizer: newline, tab, signs and digits have Baichuan2's ids and never merge") {
  const Tokenizer& tokenizer = small_tokenizer();
  CHECK(tokenizer.encode("\n") == Ids{kNewlineId});
  CHECK(tokenizer.encode("\n\n\t") == Ids{5, 5, 6});
  CHECK(tokenizer.encode("，。！？、：") == Ids{65, 66, 67, 68, 69, 70});
  CHECK(tokenizer.encode("。。。。。。。...") == Ids{77, 66, 75});
  CHECK(tokenizer.encode("《》【】『』```<!---->---") ==
        Ids{78, 79, 80, 81, 82, 83, 84, 85, 86, 87});
  CHECK(tokenizer.encode("<!DOCTYPE>；．＝＜＞－＋％‼㊣／｜") ==
        Ids{88, 89, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100});
  CHECK(tokenizer.encode("０９+-=￥.!?") == Ids{52, 61, 62, 63, 64, 71, 72, 73, 74});
  const Ids eights = tokenizer.encode("88");
  REQUIRE(eights.size() == 2);
  CHECK(eights[0] == eights[1]);
}

TEST_CASE("Tokenizer: characters without a piece are their bytes") {
  CHECK(small_tokenizer().encode("𠮷") == bytes_as_ids("𠮷"));
  CHECK(small_tokenizer().encode("\r") == bytes_as_ids("\r"));
  CHECK(small_tokenizer().encode(std::string(1, '\0')) == bytes_as_ids(std::string(1, '\0')));
}

TEST_CASE("Tokenizer: control and reserved symbols in text are ordinary characters") {
  const Tokenizer& tokenizer = small_tokenizer();
  for (const std::string symbol : {"<s>", "</s>", "<unk>", "<SEP>", "<CLS>", "<reserved_12>",
                                   "<reserved_106>", "<reserved_107>", "<reserved_999>"}) {
    const Ids ids = tokenizer.encode("双肺" + symbol + "清晰");
    CHECK(tokenizer.decode(ids) == "双肺" + symbol + "清晰");
    for (const int32_t id : ids) CHECK_FALSE(is_special(id));
  }
}

TEST_CASE("Tokenizer: sentencepiece's mark for a space is not taken for a space") {
  const Tokenizer& tokenizer = small_tokenizer();
  CHECK(tokenizer.encode("\xE2\x96\x81") == bytes_as_ids("\xE2\x96\x81"));
  CHECK(tokenizer.decode(tokenizer.encode("a\xE2\x96\x81 b")) == "a\xE2\x96\x81 b");
}

TEST_CASE("Tokenizer: a newline splits the ids of what is around it") {
  const Tokenizer& tokenizer = small_tokenizer();
  Random random(1, RandomStream::kSimulation);
  for (int i = 0; i < 500; ++i) {
    const std::string a = random_text(random);
    const std::string b = random_text(random);
    Ids expected = tokenizer.encode(a);
    expected.push_back(kNewlineId);
    for (const int32_t id : tokenizer.encode(b)) expected.push_back(id);
    CHECK(tokenizer.encode(a + "\n" + b) == expected);
  }
}

TEST_CASE("Tokenizer: a prompt is the message between the two roles, which no text can open") {
  CHECK(small_tokenizer().prompt("。，") == Ids{195, 66, 65, 196});
  CHECK(small_tokenizer().prompt("") == Ids{195, 196});
  const Ids ids = small_tokenizer().prompt("<reserved_107>");
  CHECK(std::count(ids.begin(), ids.end(), kAssistantId) == 1);
}

TEST_CASE("Tokenizer: random Unicode comes back, without control ids") {
  check_round_trips(small_tokenizer(), 7, 5000);
}

TEST_CASE("Tokenizer: decodes control ids to nothing and torn bytes to U+FFFD") {
  const Tokenizer& tokenizer = small_tokenizer();
  CHECK(tokenizer.decode(Ids{}) == "");
  CHECK(tokenizer.decode(Ids{1, kUserId, 66, kAssistantId, 66, 2}) == "。。");
  Ids torn = bytes_as_ids("𠮷");
  torn.pop_back();
  CHECK(tokenizer.decode(torn) == "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  CHECK(tokenizer.decode(Ids{kFirstByteId + 0xE5, 66}) == "\xEF\xBF\xBD。");
}

TEST_CASE("Tokenizer: refuses ids that it does not have and text that is not UTF-8") {
  const Tokenizer& tokenizer = small_tokenizer();
  CHECK_THROWS_WITH(tokenizer.decode(Ids{-1}), "tokenizer: id must be in [0, 1430), got -1");
  CHECK_THROWS_AS(tokenizer.decode(Ids{tokenizer.size()}), Error);
  CHECK_THROWS_AS(tokenizer.piece(tokenizer.size()), Error);
  CHECK_THROWS_WITH(tokenizer.encode("双\xFF"),
                    "tokenizer: text must be UTF-8, got another byte at 3");
}

TEST_CASE("Tokenizer: pieces are named as the model spells them") {
  const Tokenizer& tokenizer = small_tokenizer();
  CHECK(tokenizer.piece(kUserId) == "<reserved_106>");
  CHECK(tokenizer.piece(kFirstByteId + 10) == "<0x0A>");
  CHECK(tokenizer.piece(kEndOfTextId) == "</s>");
}

TEST_CASE("Tokenizer: saves the bytes it was loaded from, and names them by their digest") {
  const ScratchFile file("");
  small_tokenizer().save(file.path());
  const Tokenizer loaded = Tokenizer::load(file.path());
  CHECK(loaded.digest() == small_tokenizer().digest());
  CHECK(loaded.digest() == to_hex(sha256_of_file(file.path())));
  CHECK(loaded.encode("双肺<reserved_106>清晰") ==
        small_tokenizer().encode("双肺<reserved_106>清晰"));
}

TEST_CASE("Tokenizer: refuses models that are laid out otherwise, naming the piece") {
  const std::string good = bytes_of(small_tokenizer());
  CHECK(message_of(good) == "accepted");
  CHECK(message_of("").find("m: ") == 0);
  CHECK(message_of(replace_all(good, "<reserved_106>", "<reserved_1O6>")) ==
        "m: piece 195: must be <reserved_106> as in Baichuan2's tokenizer, got another or none");
  CHECK(message_of(replace_all(good, "</s>", "</e>")).find("piece 2") != std::string::npos);
  CHECK(message_of(good.substr(0, good.size() / 2)) != "accepted");
}

TEST_CASE("Tokenizer: a missing file is an input error that names it") {
  CHECK_THROWS_AS(Tokenizer::load("/nonexistent/tokenizer.model"), Error);
  CHECK_THROWS_WITH(Tokenizer::load("/nonexistent/tokenizer.model"),
                    Catch::Matchers::ContainsSubstring("/nonexistent/tokenizer.model"));
}

TEST_CASE("Tokenizer: a long run of random Unicode comes back", "[.exhaustive]") {
  for (uint64_t seed = 100; seed < 120; ++seed) check_round_trips(small_tokenizer(), seed, 20000);
}
