#include "libradgpt/formats/tokenizer_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_set>

namespace radgpt {
namespace {

using Json = nlohmann::ordered_json;

struct Merge {
  float score = 0;
  size_t piece = 0;  ///< that it makes
  size_t split = 0;  ///< bytes of the left part
};

bool begins_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }

bool is_normal(const Piece& piece) { return piece.type == PieceType::kNormal; }

/// A space parts the two sides of a merge in the file, and no normalised text has one.
bool has_space(const Piece& piece) { return piece.text.find(' ') != std::string::npos; }

std::vector<Merge> ordered_merges(const SentencePieceModel& model) {
  std::unordered_set<std::string_view> normal;
  for (const Piece& piece : model.pieces) {
    if (is_normal(piece)) normal.insert(piece.text);
  }
  std::vector<Merge> merges;
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    const Piece& piece = model.pieces[id];
    if (!is_normal(piece) || has_space(piece)) continue;
    const std::string_view text = piece.text;
    for (size_t split = 1; split < text.size(); ++split) {
      if (!begins_character(text[split])) continue;
      if (!normal.contains(text.substr(0, split)) || !normal.contains(text.substr(split))) continue;
      merges.push_back({piece.score, id, split});
    }
  }
  std::stable_sort(merges.begin(), merges.end(),
                   [](const Merge& a, const Merge& b) { return a.score > b.score; });
  return merges;
}

Json added_tokens(const SentencePieceModel& model) {
  Json tokens = Json::array();
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    const Piece& piece = model.pieces[id];
    const bool is_user_defined = piece.type == PieceType::kUserDefined;
    const bool is_special = piece.type == PieceType::kControl || piece.type == PieceType::kUnknown;
    if (!is_user_defined && !is_special) continue;
    // All user-defined pieces in one search, after spaces were replaced: the longest one wins.
    tokens.push_back({{"id", id},
                      {"content", piece.text},
                      {"single_word", false},
                      {"lstrip", false},
                      {"rstrip", false},
                      {"normalized", is_user_defined},
                      {"special", is_special}});
  }
  return tokens;
}

Json replace(const char* from, const char* to) {
  return {{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
}

constexpr const char* kSpaceMark = "\u2581";

Json byte_pair_model(const SentencePieceModel& model) {
  Json vocabulary = Json::object();
  Json unknown;
  auto& entries = vocabulary.get_ref<Json::object_t&>();
  entries.reserve(model.pieces.size());
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    // Pieces differ from each other, so there is no key to look for.
    entries.emplace_back(model.pieces[id].text, id);
    if (model.pieces[id].type == PieceType::kUnknown) unknown = model.pieces[id].text;
  }
  Json merges = Json::array();
  for (const Merge& merge : ordered_merges(model)) {
    const std::string& text = model.pieces[merge.piece].text;
    merges.push_back(text.substr(0, merge.split) + " " + text.substr(merge.split));
  }
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", unknown},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", false},
          {"byte_fallback", model.byte_fallback},
          {"ignore_merges", false},
          {"vocab", std::move(vocabulary)},
          {"merges", std::move(merges)}};
}

}  // namespace

std::string tokenizer_json(const SentencePieceModel& model) {
  const Json decoder = {
      {"type", "Sequence"},
      {"decoders", {replace(kSpaceMark, " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}}}};
  const Json root = {{"version", "1.0"},
                     {"truncation", nullptr},
                     {"padding", nullptr},
                     {"added_tokens", added_tokens(model)},
                     {"normalizer", replace(" ", kSpaceMark)},
                     {"pre_tokenizer", nullptr},
                     {"post_processor", nullptr},
                     {"decoder", decoder},
                     {"model", byte_pair_model(model)}};
  return root.dump(1) + "\n";
}

}  // namespace radgpt
