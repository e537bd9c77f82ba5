#include "libradgpt/formats/tokenizer_json.h"

#include <nlohmann/json.hpp>

#include "tests/catch.h"

namespace radgpt {
namespace {

SentencePieceModel small_model() {
  SentencePieceModel model;
  model.byte_fallback = true;
  model.pieces = {{"<unk>", 0, PieceType::kUnknown},
                  {"</s>", 0, PieceType::kControl},
                  {"\n", 0, PieceType::kUserDefined},
                  {"--", 0, PieceType::kUserDefined},
                  {"<0x41>", 0, PieceType::kByte},
                  {"肺", -4},
                  {"双", -5},
                  {"双肺", -2},
                  {"▁", -6},
                  {"▁双肺", -1},
                  {"-", -7},
                  {"双-", -8},
                  {"▁▁", -2}};
  return model;
}

nlohmann::json as_json() { return nlohmann::json::parse(tokenizer_json(small_model())); }

TEST_CASE("Tokenizer JSON: every piece has its id, and pieces outside the texts are added tokens") {
  const nlohmann::json root = as_json();
  CHECK(root.at("model").at("vocab").size() == 13);
  CHECK(root.at("model").at("vocab").at("▁双肺") == 9);
  CHECK(root.at("model").at("unk_token") == "<unk>");
  CHECK(root.at("model").at("byte_fallback") == true);
  const nlohmann::json& added = root.at("added_tokens");
  REQUIRE(added.size() == 4);
  CHECK(added[1].at("id") == 1);
  CHECK(added[1].at("special") == true);
  CHECK(added[2].at("content") == "\n");
  CHECK(added[2].at("special") == false);
}

TEST_CASE("Tokenizer JSON: merges are the splits into normal pieces, best score first") {
  // "--" is user-defined and "双-" has both parts; of the two pieces with score -2 the lower id
  // comes first.
  CHECK(as_json().at("model").at("merges") == nlohmann::json({"▁ 双肺", "双 肺", "▁ ▁", "双 -"}));
}

TEST_CASE("Tokenizer JSON: spaces are replaced, nothing is put in front or behind") {
  const nlohmann::json root = as_json();
  CHECK(root.at("normalizer").at("pattern").at("String") == " ");
  CHECK(root.at("normalizer").at("content") == "▁");
  CHECK(root.at("pre_tokenizer").is_null());
  CHECK(root.at("post_processor").is_null());
  CHECK(root.at("decoder").at("decoders").size() == 3);
}

}  // namespace
}  // namespace radgpt
