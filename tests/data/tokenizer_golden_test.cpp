#include <filesystem>
#include <iostream>

#include "libradgpt/base/files.h"
#include "libradgpt/base/random.h"
#include "libradgpt/base/text.h"
#include "libradgpt/data/token_dataset.h"
#include "libradgpt/data/tokenizer.h"
#include "libradgpt/formats/json.h"
#include "libradgpt/formats/jsonl.h"
#include "tests/catch.h"

// Baichuan2's own tokenizer against ids made with the reference programs.

using namespace radgpt;

namespace {

using Ids = std::vector<int32_t>;

const std::string kShared = RADGPT_SOURCE_DIR "/../shared";

bool is_absent() {
  if (std::filesystem::exists(kShared)) return false;
  std::cout << "skipped: no ../shared\n";
  return true;
}

const Tokenizer& baichuan2() {
  static const Tokenizer tokenizer =
      Tokenizer::load(kShared + "/tokenizer/baichuan2/tokenizer.model");
  return tokenizer;
}

/// A list of the golden file.
nlohmann::json golden(const std::string& file, const std::string& list) {
  return read_json_file(kShared + "/golden/" + file, 1 << 20).at(list);
}

bool spells_special(const std::string& text) {
  return text.find("<s>") != std::string::npos || text.find("</s>") != std::string::npos ||
         text.find("<unk>") != std::string::npos || text.find("<reserved_") != std::string::npos;
}

/// Ids of turns that alternate, the user first, as the library makes them of a conversation. Where
/// the user speaks last, up to the assistant's token.
Ids chat(const std::vector<std::string>& turns) {
  Conversation conversation;
  for (const std::string& text : turns) {
    const auto role = conversation.turns.size() % 2 == 0 ? Role::kUser : Role::kAssistant;
    conversation.turns.push_back({role, text});
  }
  const bool is_prompt = turns.size() % 2 == 1;
  if (is_prompt) conversation.turns.push_back({Role::kAssistant, "正常"});
  const TokenExample example = tokenize_conversations({conversation}, baichuan2(), {}).examples[0];
  const auto end = example.branch.begin() + example.answer_row + 1;
  return is_prompt ? Ids(example.branch.begin(), end) : example.branch;
}

}  // namespace

TEST_CASE("Baichuan2's tokenizer: is the known file") {
  if (is_absent()) return;
  CHECK(baichuan2().size() == 125696);
  CHECK(baichuan2().digest() == "79452955be6b419a65984273a9f08af86042e1c2a75ee3ba989cbf620a133cc2");
}

TEST_CASE("Baichuan2's tokenizer: encodes and decodes as the reference does") {
  if (is_absent()) return;
  int texts = 0;
  for (const auto& item : golden("tokenizer_golden.json", "encode")) {
    const std::string text = item["text"];
    CAPTURE(text);
    CHECK(baichuan2().decode(baichuan2().encode(text)) == text);
    if (spells_special(text)) continue;
    CHECK(baichuan2().encode(text) == item["ids"].get<Ids>());
    ++texts;
  }
  CHECK(texts == 30);
}

TEST_CASE("Baichuan2's tokenizer: symbols of the chat format in text stay text") {
  if (is_absent()) return;
  // sentencepiece itself splits </s> so; of <reserved_106> it would make the id of the user.
  CHECK(baichuan2().encode("</s>") == Ids{2801, 92319, 92574});
  for (const int32_t id : baichuan2().encode("<reserved_106>你好<reserved_107><unk><SEP>")) {
    CHECK(id > 100);
    CHECK((id < 101 || id >= kFirstByteId));
  }
}

TEST_CASE("Baichuan2's tokenizer: conversations and prompts are the official ones") {
  if (is_absent()) return;
  for (const auto& item : golden("tokenizer_golden.json", "chat")) {
    std::vector<std::string> turns;
    Ids expected = item["ids"];
    for (const auto& message : item["messages"]) {
      if (message["role"] != "system") {
        turns.push_back(message["content"]);
        continue;
      }
      const Ids system = baichuan2().encode(message["content"].get<std::string>());
      REQUIRE(Ids(expected.begin(), expected.begin() + static_cast<ptrdiff_t>(system.size())) ==
              system);
      expected.erase(expected.begin(), expected.begin() + static_cast<ptrdiff_t>(system.size()));
    }
    CHECK(chat(turns) == expected);
  }
  for (const auto& item : golden("tokenizer_golden_2.json", "baichuan2")) {
    const Ids expected = item["ids"];
    if (item.contains("text")) {
      CHECK(baichuan2().encode(item["text"].get<std::string>()) == expected);
    } else {
      CHECK(chat(item["dialogue"].get<std::vector<std::string>>()) == expected);
    }
  }
}

TEST_CASE("Baichuan2's tokenizer: every real report comes back") {
  if (is_absent()) return;
  int texts = 0;
  for (const std::string name : {"ccks_tumor.val", "us_kmve.val", "openi_zh.val"}) {
    JsonlReader reader(kShared + "/data/" + name + ".jsonl");
    for (JsonLine line; reader.next(line);) {
      for (const auto& [key, value] : line.value.items()) {
        if (!value.is_string()) continue;
        const std::string text = value;
        if (baichuan2().decode(baichuan2().encode(text)) != text) FAIL(name << ":" << line.number);
        ++texts;
      }
    }
  }
  CHECK(texts > 2000);
}

TEST_CASE("Baichuan2's tokenizer: random code points come back") {
  if (is_absent()) return;
  Random random(3, RandomStream::kSimulation);
  for (int i = 0; i < 2000; ++i) {
    std::u32string text;
    for (int c = 0; c < 20; ++c) {
      uint32_t point = random.next_below(random.next_below(2) == 0 ? 0x10F800 : 0xA000);
      text.push_back(static_cast<char32_t>(point >= 0xD800 ? point + 0x800 : point));
    }
    const std::string utf8 = encode_utf8(text);
    if (baichuan2().decode(baichuan2().encode(utf8)) != utf8) FAIL("text " << i);
  }
}
