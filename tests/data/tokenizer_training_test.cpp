#include "libradgpt/data/tokenizer_training.h"

#include "libradgpt/base/error.h"
#include "tests/catch.h"

using namespace radgpt;

namespace {

std::string message_of(const std::vector<std::string>& texts, int32_t pieces) {
  try {
    train_tokenizer(texts, pieces);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    return error.what();
  }
  return "accepted";
}

const std::vector<std::string> kPhrases(50,
                                        "右肺上叶见磨玻璃结节，大小约12mm，边界清。\n建议随访。");

}  // namespace

TEST_CASE("Tokenizer training: control, reserved, byte and learnt pieces lie as in Baichuan2's") {
  const Tokenizer tokenizer = train_tokenizer(kPhrases, 1400);
  CHECK(tokenizer.size() == 1400);
  CHECK(tokenizer.piece(0) == "<unk>");
  CHECK(tokenizer.piece(1) == "<s>");
  CHECK(tokenizer.piece(2) == "</s>");
  CHECK(tokenizer.piece(3) == "<SEP>");
  CHECK(tokenizer.piece(4) == "<CLS>");
  CHECK(tokenizer.piece(5) == "\n");
  CHECK(tokenizer.piece(6) == "\t");
  for (int n = 12; n < 1000; ++n) {
    CHECK(tokenizer.piece(n + 89) == "<reserved_" + std::to_string(n) + ">");
  }
  CHECK(tokenizer.piece(kFirstByteId) == "<0x00>");
  CHECK(tokenizer.piece(kFirstByteId + 255) == "<0xFF>");
}

TEST_CASE("Tokenizer training: a phrase that recurs becomes one piece, between punctuation") {
  const Tokenizer tokenizer = train_tokenizer(kPhrases, 1400);
  CHECK(tokenizer.encode("右肺上叶见磨玻璃结节").size() == 1);
  CHECK(tokenizer.encode("右肺上叶见磨玻璃结节，边界清。").size() == 4);
  CHECK(tokenizer.encode("大小约12mm").size() == 4);  // digits stand alone
}

TEST_CASE("Tokenizer training: the same texts give the same bytes") {
  CHECK(train_tokenizer(kPhrases, 1380).digest() == train_tokenizer(kPhrases, 1380).digest());
  CHECK(train_tokenizer(kPhrases, 1380).digest() != train_tokenizer(kPhrases, 1381).digest());
}

TEST_CASE("Tokenizer training: refuses sizes that the texts cannot fill or do not fit into") {
  CHECK(message_of({}, 1400) == "tokenizer: there must be text to train on, got none");
  CHECK(message_of({"", "\n"}, 1400) == "tokenizer: there must be text to train on, got none");
  CHECK(message_of(kPhrases, 1345) == "tokenizer: pieces must be above 1345, got 1345");
  CHECK(message_of(kPhrases, 1350).find("must leave room for the characters") != std::string::npos);
  // All that can be learnt: a, b, c, ab, bc, abc.
  CHECK(message_of({"abc"}, 4000) ==
        "tokenizer: pieces must be at most 1351 with so little text, got 4000");
  CHECK(message_of({"abc"}, 1351) == "accepted");
}
