#include "libradgpt/data/tokenizer_training.h"

#include <sentencepiece_trainer.h>

#include <array>
#include <string_view>
#include <unordered_map>

#include "libradgpt/base/error.h"

namespace radgpt {
namespace {

constexpr std::array<std::string_view, 45> kTags = {
    "<html>",   "</html>",   "<head>", "</head>", "<body>",  "</body>",  "<title>", "</title>",
    "<div>",    "</div>",    "<span>", "</span>", "<p>",     "</p>",     "<br>",    "<hr>",
    "<h1>",     "</h1>",     "<h2>",   "</h2>",   "<h3>",    "</h3>",    "<ul>",    "</ul>",
    "<ol>",     "</ol>",     "<li>",   "</li>",   "<table>", "</table>", "<tr>",    "</tr>",
    "<td>",     "</td>",     "<th>",   "</th>",   "<b>",     "</b>",     "<i>",     "</i>",
    "<strong>", "</strong>", "<code>", "</code>", "<img>"};

// Of ids 52 to 100; those after them are <reserved_12> to <reserved_999>.
constexpr std::array<std::string_view, 49> kSigns = {
    "０",   "１",  "２",     "３",           "４", "５", "６", "７", "８", "９", "+",
    "-",    "=",   "，",     "。",           "！", "？", "、", "：", "￥", ".",  "!",
    "?",    "...", "。。。", "。。。。。。", "《", "》", "【", "】", "『", "』", "```",
    "<!--", "-->", "---",    "<!DOCTYPE>",   "；", "．", "＝", "＜", "＞", "－", "＋",
    "％",   "‼",   "㊣",     "／",           "｜"};

/// The user-defined symbols of ids 3 to 1088 as comma-separated values.
std::string user_defined_symbols() {
  std::string list = "<SEP>,<CLS>,\n,\t";
  for (const auto tag : kTags) list.append(",").append(tag);
  for (const auto sign : kSigns) list.append(",").append(sign);
  for (int i = 12; i < 1000; ++i) list.append(",<reserved_").append(std::to_string(i)).append(">");
  return list;
}

/// No piece crosses a punctuation mark, and equal phrases between marks are counted as one by the
/// trainer, which makes it fast on reports.
std::vector<std::string> split_phrases(const std::vector<std::string>& texts) {
  constexpr std::array<std::string_view, 7> kMarks = {"\n", "，", "。", "；", "：", "、", "？"};
  std::vector<std::string> phrases;
  for (const std::string& text : texts) {
    std::string_view rest = text;
    while (!rest.empty()) {
      size_t end = rest.size();
      size_t mark_size = 0;
      for (const std::string_view mark : kMarks) {
        const size_t found = rest.substr(0, end).find(mark);
        if (found == std::string_view::npos) continue;
        end = found;
        mark_size = mark.size();
      }
      if (end > 0) phrases.emplace_back(rest.substr(0, end));
      rest.remove_prefix(end + mark_size);
    }
  }
  return phrases;
}

}  // namespace

Tokenizer train_tokenizer(const std::vector<std::string>& texts, int32_t pieces) {
  const std::vector<std::string> phrases = split_phrases(texts);
  require(!phrases.empty(), "tokenizer: there must be text to train on, got none");
  require(pieces > kFixedPieces, "tokenizer: pieces must be above ", kFixedPieces, ", got ",
          pieces);
  const std::unordered_map<std::string, std::string> settings = {
      {"model_type", "bpe"},
      {"vocab_size", std::to_string(pieces)},
      {"hard_vocab_limit", "false"},  // the check below names the size that fits
      {"normalization_rule_name", "identity"},
      {"add_dummy_prefix", "false"},
      {"remove_extra_whitespaces", "false"},
      {"allow_whitespace_only_pieces", "true"},
      {"byte_fallback", "true"},
      {"split_digits", "true"},
      {"character_coverage", "0.9998"},
      {"max_sentencepiece_length", "16"},
      {"max_sentence_length", "1000000000"},
      {"user_defined_symbols", user_defined_symbols()},
      {"pad_id", "-1"},
      {"num_threads", "1"},
      {"minloglevel", "3"},  // the trainer must not print
  };
  std::string model;
  const auto status = sentencepiece::SentencePieceTrainer::Train(settings, phrases, &model);
  require(status.ok(), "tokenizer: pieces must leave room for the characters of the texts beside ",
          kFixedPieces, " fixed ones, got ", pieces);
  Tokenizer tokenizer = Tokenizer::from_bytes(std::move(model), "trained tokenizer");
  require(tokenizer.size() == pieces, "tokenizer: pieces must be at most ", tokenizer.size(),
          " with so little text, got ", pieces);
  return tokenizer;
}

}  // namespace radgpt
