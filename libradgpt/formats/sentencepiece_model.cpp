#include "libradgpt/formats/sentencepiece_model.h"

#include <array>
#include <bit>
#include <cmath>
#include <unordered_set>

#include "libradgpt/base/error.h"
#include "libradgpt/base/files.h"
#include "libradgpt/base/text.h"
#include "libradgpt/formats/protobuf.h"

namespace radgpt {
namespace {

constexpr uint64_t kLargestFile = 16'000'000;
constexpr size_t kMostPieces = 200'000;
constexpr size_t kLongestPiece = 512;
constexpr uint64_t kModelTypeBpe = 2;

/// Field numbers of sentencepiece_model.proto.
enum ModelField : uint32_t { kPieces = 1, kTrainerSpec = 2, kNormalizerSpec = 3 };
enum PieceField : uint32_t { kText = 1, kScore = 2, kType = 3 };
enum TrainerField : uint32_t {
  kModelType = 3,
  kByteFallback = 35,
  kUnknownId = 40,
  kBeginId = 41,
  kEndId = 42,
  kPadId = 43,
};
constexpr std::array<const char*, 4> kSpecialIds{"unk_id", "bos_id", "eos_id", "pad_id"};
enum NormalizerField : uint32_t {
  kName = 1,
  kCharacterMap = 2,
  kAddDummyPrefix = 3,
  kRemoveExtraWhitespaces = 4,
};

/// A model while it is read: what is checked at the end but not kept.
struct Draft {
  SentencePieceModel model;
  uint64_t model_type = 1;                             // the proto's default, unigram
  std::array<int32_t, 4> special_ids{-1, -1, -1, -1};  // in the order of kSpecialIds; -1 is none
};

Piece parse_piece(std::string_view bytes, const std::string& where) {
  Piece piece;
  ProtobufReader reader(bytes, where);
  for (ProtobufField field; reader.next(field);) {
    if (field.number == kText) {
      reader.expect(field, WireType::kBytes);
      piece.text = field.bytes;
    } else if (field.number == kScore) {
      reader.expect(field, WireType::kFixed32);
      piece.score = std::bit_cast<float>(static_cast<uint32_t>(field.value));
    } else if (field.number == kType) {
      reader.expect(field, WireType::kVarint);
      require(field.value >= 1 && field.value <= 6, where, ": type must be in [1, 6], got ",
              field.value);
      piece.type = static_cast<PieceType>(field.value);
    }
  }
  return piece;
}

void parse_trainer(std::string_view bytes, const std::string& where, Draft& draft) {
  ProtobufReader reader(bytes, where);
  for (ProtobufField field; reader.next(field);) {
    const bool is_id = field.number >= kUnknownId && field.number <= kPadId;
    const bool is_ours = is_id || field.number == kModelType || field.number == kByteFallback;
    if (!is_ours) continue;
    reader.expect(field, WireType::kVarint);
    if (is_id) draft.special_ids[field.number - kUnknownId] = static_cast<int32_t>(field.value);
    if (field.number == kModelType) draft.model_type = field.value;
    if (field.number == kByteFallback) draft.model.byte_fallback = field.value != 0;
  }
}

void parse_normalizer(std::string_view bytes, const std::string& where, Draft& draft) {
  ProtobufReader reader(bytes, where);
  for (ProtobufField field; reader.next(field);) {
    if (field.number == kName) {
      reader.expect(field, WireType::kBytes);
      draft.model.normalizer = field.bytes;
    } else if (field.number == kCharacterMap) {
      reader.expect(field, WireType::kBytes);
      require(field.bytes.empty(), where, ": precompiled_charsmap must be empty, got ",
              field.bytes.size(), " bytes");
    } else if (field.number == kAddDummyPrefix || field.number == kRemoveExtraWhitespaces) {
      reader.expect(field, WireType::kVarint);
      (field.number == kAddDummyPrefix ? draft.model.add_dummy_prefix
                                       : draft.model.remove_extra_whitespaces) = field.value != 0;
    }
  }
}

Draft parse_fields(std::string_view bytes, const std::string& file) {
  Draft draft;
  int trainers = 0;
  int normalizers = 0;
  ProtobufReader reader(bytes, file);
  for (ProtobufField field; reader.next(field);) {
    if (field.number >= kPieces && field.number <= kNormalizerSpec) {
      reader.expect(field, WireType::kBytes);
    }
    if (field.number == kPieces) {
      const size_t id = draft.model.pieces.size();
      require(id < kMostPieces, file, ": pieces: must be at most ", kMostPieces, ", got more");
      draft.model.pieces.push_back(parse_piece(field.bytes, concat(file, ": piece ", id)));
      continue;
    }
    if (field.number == kTrainerSpec) {
      ++trainers;
      parse_trainer(field.bytes, file + ": trainer_spec", draft);
    } else if (field.number == kNormalizerSpec) {
      ++normalizers;
      parse_normalizer(field.bytes, file + ": normalizer_spec", draft);
    }
    draft.model.other_fields += field.whole;
  }
  require(trainers <= 1 && normalizers <= 1, file,
          ": trainer_spec and normalizer_spec: must not be repeated");
  return draft;
}

/// The value of "<0xHH>"; -1 for any other text.
int byte_of(const std::string& text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return -1;
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
  };
  const int high = digit(text[3]);
  const int low = digit(text[4]);
  return high < 0 || low < 0 ? -1 : 16 * high + low;
}

void check_piece(const Piece& piece, const std::string& where) {
  require(!piece.text.empty() && piece.text.size() <= kLongestPiece, where, ": must have 1 to ",
          kLongestPiece, " bytes, got ", piece.text.size());
  require(!find_invalid_utf8(piece.text), where, ": must be valid UTF-8");
  require(piece.text.find('\0') == std::string::npos, where, ": must not contain a NUL byte");
  require(std::isfinite(piece.score), where, ": score must be finite, got NaN or infinity");
  require(piece.type != PieceType::kByte || byte_of(piece.text) >= 0, where,
          ": a byte piece must be written <0xHH> with hexadecimal digits");
}

void check_pieces(const SentencePieceModel& model, const std::string& file) {
  size_t unknown_pieces = 0;
  size_t byte_pieces = 0;
  std::unordered_set<std::string_view> seen;
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    const Piece& piece = model.pieces[id];
    const std::string where = concat(file, ": piece ", id);
    check_piece(piece, where);
    require(seen.insert(piece.text).second, where, ": must differ from all pieces before it");
    unknown_pieces += piece.type == PieceType::kUnknown ? 1 : 0;
    byte_pieces += piece.type == PieceType::kByte ? 1 : 0;
  }
  require(unknown_pieces == 1, file, ": pieces: exactly one must be of type UNKNOWN, got ",
          unknown_pieces);
  const size_t expected = model.byte_fallback ? 256 : 0;
  require(byte_pieces == expected, file, ": pieces: must have ", expected, " of type BYTE ",
          model.byte_fallback ? "with" : "without", " byte_fallback, got ", byte_pieces);
}

}  // namespace

SentencePieceModel parse_tokenizer_model(std::string_view bytes, const std::string& file,
                                         std::optional<int64_t> vocab_size) {
  require(!bytes.empty(), file, ": must be a SentencePiece model, got an empty file");
  require(bytes.size() <= kLargestFile, file, ": must have at most ", kLargestFile, " bytes, got ",
          bytes.size());
  Draft draft = parse_fields(bytes, file);
  const auto count = static_cast<int64_t>(draft.model.pieces.size());
  require(count > 0, file, ": pieces: must be at least one, got none");
  require(count == vocab_size.value_or(count), file,
          ": pieces: must be vocab_size of config.json, ", vocab_size.value_or(count), ", got ",
          count);
  require(draft.model_type == kModelTypeBpe, file,
          ": trainer_spec.model_type: must be BPE (2), got ", draft.model_type);
  check_pieces(draft.model, file);
  for (size_t i = 0; i < kSpecialIds.size(); ++i) {
    const int32_t id = draft.special_ids[i];
    require(id >= -1 && id < count, file, ": trainer_spec.", kSpecialIds[i],
            ": must be an id below ", count, ", or -1 for none, got ", id);
  }
  return std::move(draft.model);
}

SentencePieceModel read_tokenizer_model(const std::string& path,
                                        std::optional<int64_t> vocab_size) {
  return parse_tokenizer_model(read_file(path, kLargestFile), path, vocab_size);
}

std::string serialize_tokenizer_model(const SentencePieceModel& model) {
  std::string bytes;
  for (const Piece& piece : model.pieces) {
    std::string message;
    append_bytes_field(message, kText, piece.text);
    append_varint(message, kScore << 3 | static_cast<uint32_t>(WireType::kFixed32));
    const auto score = std::bit_cast<std::array<char, 4>>(piece.score);
    message.append(score.data(), score.size());
    if (piece.type != PieceType::kNormal) {
      append_varint(message, kType << 3 | static_cast<uint32_t>(WireType::kVarint));
      append_varint(message, static_cast<uint64_t>(piece.type));
    }
    append_bytes_field(bytes, kPieces, message);
  }
  return bytes + model.other_fields;
}

}  // namespace radgpt
