#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace radgpt {

/// The numbers are those of SentencePiece's ModelProto.
enum class PieceType : uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

struct Piece {
  std::string text;
  float score = 0;
  PieceType type = PieceType::kNormal;
};

/// A tokenizer.model (sentencepiece_model.proto of SentencePiece, message ModelProto).
struct SentencePieceModel {
  std::vector<Piece> pieces;  ///< the index is the token id

  // Of the trainer's and the normaliser's settings; changing them here changes nothing on write.
  bool byte_fallback = false;
  std::string normalizer;  ///< "identity" for Baichuan2
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;

  /// Everything but the pieces as it stood in the file, field by field.
  std::string other_fields;
};

/// Reads and checks a tokenizer.model before the sentencepiece library, which crashes on some bad
/// files, sees it: at most 16 MB; well-formed protobuf; 1 to 200,000 pieces, as many as
/// `vocab_size` if given; each 1 to 512 bytes of UTF-8 without NUL, no two alike; finite scores;
/// one unknown piece; with byte fallback, one piece per byte value; model type BPE; no character
/// map; special ids within the vocabulary. Throws Error(kInput) naming the file and the piece's id.
SentencePieceModel parse_tokenizer_model(std::string_view bytes, const std::string& file,
                                         std::optional<int64_t> vocab_size = std::nullopt);

SentencePieceModel read_tokenizer_model(const std::string& path,
                                        std::optional<int64_t> vocab_size = std::nullopt);

/// The bytes of a tokenizer.model: the pieces as they are now, then `other_fields`.
std::string serialize_tokenizer_model(const SentencePieceModel& model);

}  // namespace radgpt
