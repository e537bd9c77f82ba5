#include "libradgpt/data/tokenizer.h"

#include <sentencepiece_processor.h>

#include "libradgpt/base/error.h"
#include "libradgpt/base/files.h"
#include "libradgpt/base/hash.h"
#include "libradgpt/base/text.h"
#include "libradgpt/formats/sentencepiece_model.h"

namespace radgpt {
namespace {

constexpr uint64_t kLargestFile = 16u << 20;
constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581

std::string byte_piece(int byte) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  return concat("<0x", kDigits[static_cast<size_t>(byte >> 4)],
                kDigits[static_cast<size_t>(byte & 15)], '>');
}

/// Throws unless the ids that the library splices and the settings that the round trip needs are
/// Baichuan2's.
void check_layout(const SentencePieceModel& model, const std::string& name) {
  const auto expect = [&](int32_t id, const std::string& text, PieceType type) {
    const bool fits = static_cast<size_t>(id) < model.pieces.size() &&
                      model.pieces[static_cast<size_t>(id)].text == text &&
                      model.pieces[static_cast<size_t>(id)].type == type;
    require(fits, name, ": piece ", id, ": must be ", text == "\n" ? "the newline" : text,
            " as in Baichuan2's tokenizer, got another or none");
  };
  expect(kUnknownId, "<unk>", PieceType::kUnknown);
  expect(kEndOfTextId, "</s>", PieceType::kControl);
  expect(kNewlineId, "\n", PieceType::kUserDefined);
  expect(kUserId, "<reserved_106>", PieceType::kUserDefined);
  expect(kAssistantId, "<reserved_107>", PieceType::kUserDefined);
  for (int byte = 0; byte < 256; ++byte) {
    expect(kFirstByteId + byte, byte_piece(byte), PieceType::kByte);
  }
  require(model.byte_fallback, name, ": byte_fallback: must be on, got off");
  require(model.normalizer == "identity", name, ": normalizer: must be identity, got another");
  require(!model.add_dummy_prefix, name, ": add_dummy_prefix: must be off, got on");
  require(!model.remove_extra_whitespaces, name, ": remove_extra_whitespaces: must be off, got on");
}

/// User-defined symbols that stand for something else than their text.
bool is_reserved(const Piece& piece) {
  return piece.type == PieceType::kUserDefined &&
         (piece.text == "<SEP>" || piece.text == "<CLS>" || piece.text.starts_with("<reserved_"));
}

}  // namespace

struct Tokenizer::Model {
  std::string bytes;
  sentencepiece::SentencePieceProcessor processor;

  void encode(std::string_view text, std::vector<int32_t>& ids) const {
    std::vector<int> part;
    const auto status = processor.Encode({text.data(), text.size()}, &part);
    require(status.ok(), "tokenizer: text of ", text.size(), " bytes must be encodable");
    ids.insert(ids.end(), part.begin(), part.end());
  }
};

Tokenizer::Tokenizer(std::unique_ptr<Model> model) : model_(std::move(model)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::load(const std::string& path) {
  return from_bytes(read_file(path, kLargestFile), path);
}

Tokenizer Tokenizer::from_bytes(std::string model, const std::string& name) {
  SentencePieceModel parsed = parse_tokenizer_model(model, name);
  check_layout(parsed, name);
  // sentencepiece looks for user-defined symbols in text, for control symbols never.
  for (Piece& piece : parsed.pieces) {
    if (is_reserved(piece)) piece.type = PieceType::kControl;
  }
  auto result = std::make_unique<Model>();
  const auto status =
      result->processor.LoadFromSerializedProto(serialize_tokenizer_model(parsed));
  require(status.ok(), name, ": must be a model that sentencepiece loads, got code ",
          static_cast<int>(status.code()));
  result->bytes = std::move(model);
  return Tokenizer(std::move(result));
}

std::vector<int32_t> Tokenizer::encode(std::string_view text) const {
  const auto fault = find_invalid_utf8(text);
  require(!fault, "tokenizer: text must be UTF-8, got another byte at ", fault.value_or(0));
  std::vector<int32_t> ids;
  for (size_t mark; (mark = text.find(kSpaceMark)) != std::string_view::npos;) {
    model_->encode(text.substr(0, mark), ids);
    for (const char byte : kSpaceMark) ids.push_back(kFirstByteId + static_cast<uint8_t>(byte));
    text.remove_prefix(mark + kSpaceMark.size());
  }
  model_->encode(text, ids);
  return ids;
}

std::vector<int32_t> Tokenizer::prompt(std::string_view message) const {
  std::vector<int32_t> ids = encode(message);
  ids.insert(ids.begin(), kUserId);
  ids.push_back(kAssistantId);
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  for (const int32_t id : ids) {
    require(id >= 0 && id < size(), "tokenizer: id must be in [0, ", size(), "), got ", id);
  }
  std::string text;
  const auto status = model_->processor.Decode(std::vector<int>(ids.begin(), ids.end()), &text);
  require(status.ok(), "tokenizer: ", ids.size(), " ids must be decodable");
  return text;
}

std::string Tokenizer::piece(int32_t id) const {
  require(id >= 0 && id < size(), "tokenizer: id must be in [0, ", size(), "), got ", id);
  return model_->processor.IdToPiece(id);
}

int32_t Tokenizer::size() const { return model_->processor.GetPieceSize(); }

std::string Tokenizer::digest() const { return to_hex(sha256(model_->bytes)); }

void Tokenizer::save(const std::string& path) const { write_file_atomically(path, model_->bytes); }

}  // namespace radgpt
