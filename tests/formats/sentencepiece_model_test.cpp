// Bad tokenizers TK01 to TK26 of the catalogue.

#include "libradgpt/formats/sentencepiece_model.h"

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <limits>
#include <string>
#include <vector>

#include "libradgpt/base/files.h"
#include "tests/base/temporary_folder.h"
#include "tests/formats/refusal.h"
#include "tests/formats/sentencepiece_bytes.h"

namespace radgpt {
namespace {

const std::string kUnknown = piece("<unk>", 2);
const std::string kIdentity = normalizer(bytes_field(1, "identity") + number_field(3, 0));
const std::string kRest = trainer(2) + kIdentity;
const std::string kByteFallback = number_field(35, 1);

std::string byte_pieces(int count) {
  std::string bytes;
  for (int i = 0; i < count; ++i) {
    char text[8];
    std::snprintf(text, sizeof text, "<0x%02X>", static_cast<unsigned>(i));
    bytes += piece(text, 6);
  }
  return bytes;
}

SentencePieceModel parse(const std::string& bytes) {
  return parse_tokenizer_model(bytes, "tokenizer.model");
}

void check_refused(const std::vector<BadBytes>& rows) {
  for (const BadBytes& row : rows) {
    INFO(row.name);
    check_message(refusal([&] { parse(row.bytes); }), "tokenizer.model", row.said);
  }
}

TEST_CASE("SentencePieceModel: pieces and settings are read") {
  const SentencePieceModel model = parse(kUnknown + piece("<s>", 3) + piece("肺", 1, -1.5f) +
                                         bytes_field(1, bytes_field(1, "x")) + kRest);
  REQUIRE(model.pieces.size() == 4);
  CHECK(model.pieces[0].type == PieceType::kUnknown);
  CHECK(model.pieces[2].text == "肺");
  CHECK(model.pieces[2].score == -1.5f);
  CHECK(model.pieces[3].type == PieceType::kNormal);  // the default
  CHECK_FALSE(model.byte_fallback);
  CHECK(model.normalizer == "identity");
  CHECK_FALSE(model.add_dummy_prefix);
  CHECK(model.remove_extra_whitespaces);
  CHECK(model.other_fields == kRest);
}

TEST_CASE("SentencePieceModel: byte pieces, unknown fields and any order are read") {
  const std::string settings = trainer(2, kByteFallback) + kIdentity + bytes_field(4, "self test");
  const SentencePieceModel model = parse(settings + byte_pieces(256) + kUnknown);
  CHECK(model.pieces.size() == 257);
  CHECK(model.byte_fallback);
  CHECK(model.other_fields == settings);
}

TEST_CASE("SentencePieceModel: what is written is read back with its changes") {
  SentencePieceModel model = parse(kUnknown + piece("a", 1, -2) + kRest);
  model.pieces[1].text = "双肺";
  model.pieces.push_back({"<reserved_106>", 0, PieceType::kUserDefined});
  const SentencePieceModel read = parse(serialize_tokenizer_model(model));
  REQUIRE(read.pieces.size() == 3);
  CHECK(read.pieces[1].text == "双肺");
  CHECK(read.pieces[1].score == -2);
  CHECK(read.pieces[2].type == PieceType::kUserDefined);
  CHECK(read.other_fields == kRest);
}

TEST_CASE("SentencePieceModel: Baichuan2's own file is read and written without a change") {
  const std::string path =
      std::string(RADGPT_SOURCE_DIR) + "/../shared/tokenizer/baichuan2/tokenizer.model";
  if (!std::filesystem::exists(path)) {
    std::cout << "skipped: no ../shared\n";
    return;
  }
  const std::string bytes = read_file(path, 16'000'000);
  const SentencePieceModel model = read_tokenizer_model(path, 125'696);
  CHECK(model.pieces.size() == 125'696);
  CHECK(model.byte_fallback);
  CHECK(model.normalizer == "identity");
  CHECK_FALSE(model.add_dummy_prefix);
  CHECK_FALSE(model.remove_extra_whitespaces);
  CHECK(model.pieces[5].text == "\n");
  CHECK(model.pieces[195].text == "<reserved_106>");
  CHECK(model.pieces[195].type == PieceType::kUserDefined);
  CHECK(model.pieces[1089].text == "<0x00>");
  CHECK(serialize_tokenizer_model(model) == bytes);
}

TEST_CASE("SentencePieceModel: refuses bytes that are no sound protobuf") {
  check_refused({
      {"TK01 empty", "", {"empty file"}},
      {"TK02 random bytes", "\x93\x1C\xE2\x07" + kSecret, {"byte 0"}},
      {"TK03 truncated varint", kUnknown + "\x10\x80", {"byte 18", "followed by 1 bytes"}},
      {"TK04 varint of 11 bytes",
       key(9, 0) + std::string(10, '\x80') + "\x01",
       {"byte 1", "at most 64 bits"}},
      {"TK04 varint of 65 bits",
       key(9, 0) + std::string(9, '\xFF') + "\x02",
       {"byte 1", "at most 64 bits"}},
      {"TK05 length past end", key(1, 2) + varint(100) + kSecret, {"100 bytes", "got 10"}},
      {"TK05 length 2^64-1", key(1, 2) + varint(UINT64_MAX), {"byte 11", "got 0"}},
      {"TK06 wire type 3", key(9, 3), {"byte 0", "wire type 3"}},
      {"TK06 wire type 4", key(9, 4), {"byte 0", "wire type 4"}},
      {"TK07 field number 0", key(0, 0) + varint(1), {"byte 0", "field number", "got 0"}},
      {"fixed field cut short", kUnknown + key(9, 1) + "1234", {"followed by 8 bytes", "got 4"}},
      {"pieces as a number", number_field(1, 7), {"field 1", "wire type 2, got 0"}},
      {"a score as a number", bytes_field(1, number_field(2, 7)), {"piece 0", "wire type 5"}},
      {"trainer_spec twice", kUnknown + kRest + trainer(2), {"must not be repeated"}},
  });
}

TEST_CASE("SentencePieceModel: refuses bad pieces, naming the id") {
  const std::string other = piece("a", 1);
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  check_refused({
      {"TK08 no pieces", kRest, {"pieces", "got none"}},
      {"TK09 no UNK", other + kRest, {"exactly one", "UNKNOWN", "got 0"}},
      {"TK10 two UNK", kUnknown + piece("<u>", 2) + kRest, {"exactly one", "got 2"}},
      {"TK11 empty piece", kUnknown + piece("", 1) + kRest, {"piece 1", "1 to 512", "got 0"}},
      {"TK11 piece without text", kUnknown + bytes_field(1, "") + kRest, {"piece 1", "got 0"}},
      {"TK12 100 kB",
       kUnknown + piece(repeated(kSecret, 10'000), 1) + kRest,
       {"piece 1", "512 bytes", "got 100000"}},
      {"TK13 not UTF-8", kUnknown + piece(kSecret + "\xFF", 1) + kRest, {"piece 1", "UTF-8"}},
      {"TK14 NUL", kUnknown + piece(std::string("a\0b", 3), 1) + kRest, {"piece 1", "NUL"}},
      {"TK15 duplicate",
       kUnknown + piece(kSecret, 1) + piece(kSecret, 4) + kRest,
       {"piece 2", "differ"}},
      {"TK16 score NaN", kUnknown + piece("a", 1, kNan) + kRest, {"piece 1", "score", "finite"}},
      {"TK16 infinite", kUnknown + piece("a", 1, kInfinity) + kRest, {"piece 1", "score"}},
      {"TK17 type 99", kUnknown + piece("a", 99) + kRest, {"piece 1", "[1, 6]", "got 99"}},
      {"TK17 type 0", kUnknown + piece("a", 0) + kRest, {"piece 1", "[1, 6]", "got 0"}},
      {"TK19 255 byte pieces",
       kUnknown + byte_pieces(255) + trainer(2, kByteFallback),
       {"256 of type BYTE with byte_fallback", "got 255"}},
      {"TK19 byte pieces without fallback",
       kUnknown + byte_pieces(256) + kRest,
       {"0 of type BYTE without", "got 256"}},
      {"TK20 <0x-1>", kUnknown + piece("<0x-1>", 6) + kRest, {"piece 1", "<0xHH>"}},
      {"TK21 <0xZZ>", kUnknown + piece("<0xZZ>", 6) + kRest, {"piece 1", "<0xHH>"}},
  });
}

TEST_CASE("SentencePieceModel: refuses settings that Baichuan2 does not have") {
  const auto with_map = [](const std::string& map) {
    return kUnknown + trainer(2) + normalizer(bytes_field(1, "nmt") + bytes_field(2, map));
  };
  const std::string map_that_lies = std::string("\xFF\xFF\xFF\x7F", 4) + kSecret;
  check_refused({
      {"TK18 unigram", kUnknown + trainer(1) + kIdentity, {"model_type", "BPE", "got 1"}},
      {"TK18 no trainer_spec", kUnknown + kIdentity, {"model_type", "BPE", "got 1"}},
      {"TK22 charsmap", with_map(kSecret), {"precompiled_charsmap", "empty", "got 10"}},
      {"TK23 charsmap that lies", with_map(map_that_lies), {"precompiled_charsmap", "got 14"}},
      {"TK25 bos_id", kUnknown + trainer(2, number_field(41, 1)), {"bos_id", "below 1", "got 1"}},
      {"TK25 pad_id", kUnknown + trainer(2, number_field(43, 1'000'000)), {"pad_id", "1000000"}},
      {"TK25 eos_id", kUnknown + trainer(2, number_field(42, UINT64_MAX - 1)), {"eos_id", "-2"}},
  });
}

TEST_CASE("SentencePieceModel: refuses another number of pieces than the config's") {  // TK24
  const std::string bytes = kUnknown + piece("a", 1) + trainer(2, number_field(42, UINT64_MAX));
  const auto with_size = [&](int64_t size) {
    return parse_tokenizer_model(bytes, "tokenizer.model", size);
  };
  check_message(refusal([&] { with_size(125'696); }), "tokenizer.model",
                {"vocab_size of config.json", "125696", "got 2"});
}

TEST_CASE("SentencePieceModel: refuses a file of more than 16 MB") {  // TK26
  const TemporaryFolder folder;
  const std::string path = folder.write("tokenizer.model", kUnknown);
  std::filesystem::resize_file(path, 16'000'001);
  check_message(refusal([&] { read_tokenizer_model(path); }), path,
                {"at most 16000000 bytes", "got 16000001"});
}

TEST_CASE("SentencePieceModel: refuses more than 200,000 pieces") {
  check_message(refusal([&] { parse(repeated(piece("a", 1), 200'001)); }), "tokenizer.model",
                {"pieces", "at most 200000"});
}

}  // namespace
}  // namespace radgpt
