#include "libradgpt/eval/metrics/word_segmenter.h"

#include <algorithm>
#include <filesystem>

#include "libradgpt/base/text.h"
#include "libradgpt/eval/metrics/code_points.h"
#include "libradgpt/eval/metrics/word_lines.h"

namespace radgpt {
namespace {

using Words = std::vector<std::u32string_view>;

bool is_between(char32_t c, char32_t first, char32_t last) { return first <= c && c <= last; }
bool is_digit(char32_t c) { return is_between(c, U'0', U'9'); }
bool is_han(char32_t c) { return is_between(c, U'\u4E00', U'\u9FD5'); }
bool is_latin(char32_t c) {
  return is_digit(c) || is_between(c, U'a', U'z') || is_between(c, U'A', U'Z');
}
/// Characters that words are made of; everything else stands alone.
bool is_word_character(char32_t c) {
  constexpr std::u32string_view kSigns = U"+#&._%-";
  return is_han(c) || is_latin(c) || kSigns.find(c) != kSigns.npos;
}

/// Number of characters from `begin` on that satisfy `predicate`.
template <typename Predicate>
size_t run_length(std::u32string_view text, size_t begin, Predicate predicate) {
  const auto first = text.begin() + static_cast<std::ptrdiff_t>(begin);
  return static_cast<size_t>(std::find_if_not(first, text.end(), predicate) - first);
}

/// Length of the Latin word or number (1.5, 30%) at the beginning of `text`.
size_t latin_length(std::u32string_view text) {
  size_t length = run_length(text, 0, is_latin);
  if (text.substr(length).starts_with(U'.')) {
    const size_t decimals = run_length(text, length + 1, is_digit);
    if (decimals > 0) length += 1 + decimals;
  }
  return length + (text.substr(length).starts_with(U'%') ? 1 : 0);
}

void append_han(const WordHmm& model, std::u32string_view run, Words& words) {
  for (const size_t length : model.word_lengths(run)) {
    words.push_back(run.substr(0, length));
    run.remove_prefix(length);
  }
}

/// Words of a run of characters that are no words of the dictionary.
void join_unknown(const WordHmm& model, std::u32string_view run, Words& words) {
  const auto is_sign = [](char32_t c) { return !is_han(c) && !is_latin(c); };
  while (!run.empty()) {
    size_t length = run_length(run, 0, is_han);
    if (length > 0) {
      append_han(model, run.substr(0, length), words);
    } else {
      length = is_latin(run[0]) ? latin_length(run) : run_length(run, 0, is_sign);
      words.push_back(run.substr(0, length));
    }
    run.remove_prefix(length);
  }
}

void append_characters(std::u32string_view run, Words& words) {
  for (size_t i = 0; i < run.size(); ++i) words.push_back(run.substr(i, 1));
}

/// Single characters, but those of Latin words together.
void join_latin(std::u32string_view run, Words& words) {
  for (size_t begin = 0; begin < run.size(); begin += words.back().size()) {
    words.push_back(run.substr(begin, std::max<size_t>(1, run_length(run, begin, is_latin))));
  }
}

}  // namespace

WordSegmenter::WordSegmenter(const std::string& folder)
    : dictionary_(WordDictionary::read(folder + "/dict.txt")),
      model_(WordHmm::read(folder + "/hmm.txt")) {}

void WordSegmenter::add_words(const std::string& path) {
  const auto all = [](std::string_view field, std::string_view set) {
    return !field.empty() && field.find_first_not_of(set) == field.npos;
  };
  WordLines lines(path);
  while (lines.next()) {
    size_t fields = lines.fields().size();
    if (fields > 1 && all(lines.fields()[fields - 1], "abcdefghijklmnopqrstuvwxyz")) --fields;
    const bool has_frequency = fields > 1 && all(lines.fields()[fields - 1], "0123456789");
    lines.check(fields - has_frequency == 1, "word [frequency] [tag]");
    if (!has_frequency) {
      add_word(lines.text(0));
      continue;
    }
    lines.check(lines.count(1) > 0, "frequency must be >= 1");
    dictionary_.add(lines.text(0), lines.count(1));
  }
}

void WordSegmenter::add_word(std::u32string_view word) {
  const auto frequency = [&](std::u32string_view text) -> int64_t {
    const int32_t node = dictionary_.find(text);
    return node == WordDictionary::kNone ? 1 : dictionary_.frequency(node);
  };
  const auto total = static_cast<double>(dictionary_.total());
  double chance = 1;
  for (const std::u32string_view part : cut(word, UnknownWords::kSingleCharacters)) {
    chance *= static_cast<double>(frequency(part)) / total;
  }
  const auto just_more = static_cast<int64_t>(chance * total) + 1;
  dictionary_.add(word, std::max(just_more, frequency(word)));
}

Words WordSegmenter::cut(std::u32string_view text, UnknownWords unknown) const {
  Words words;
  const auto append_singles = [&](std::u32string_view run) {
    if (unknown == UnknownWords::kSingleCharacters) return join_latin(run, words);
    if (run.size() < 2 || dictionary_.has_word(run)) return append_characters(run, words);
    join_unknown(model_, run, words);
  };
  for (size_t begin = 0; begin < text.size();) {
    const size_t length = run_length(text, begin, is_word_character);
    const std::u32string_view block = text.substr(begin, length);
    size_t word_begin = 0, singles_begin = 0;
    for (const size_t word_end : dictionary_.best_split(block)) {
      if (word_end - word_begin > 1) {
        append_singles(block.substr(singles_begin, word_begin - singles_begin));
        words.push_back(block.substr(word_begin, word_end - word_begin));
        singles_begin = word_end;
      }
      word_begin = word_end;
    }
    append_singles(block.substr(singles_begin));
    begin += length;
    if (begin == text.size()) break;
    words.push_back(text.substr(begin, text.substr(begin).starts_with(U"\r\n") ? 2 : 1));
    begin += words.back().size();
  }
  return words;
}

std::vector<std::string> WordSegmenter::cut(std::string_view text) const {
  const std::u32string characters = code_points(text);
  std::vector<std::string> words;
  for (const std::u32string_view word : cut(characters, UnknownWords::kJoined)) {
    words.push_back(encode_utf8(word));
  }
  return words;
}

std::optional<WordSegmenter> find_word_segmenter(const std::string& folder,
                                                 const std::string& user_dictionary) {
  for (const char* name : {"dict.txt", "hmm.txt"}) {
    if (!std::filesystem::exists(std::filesystem::path(folder) / name)) return std::nullopt;
  }
  WordSegmenter segmenter(folder);
  if (!user_dictionary.empty()) segmenter.add_words(user_dictionary);
  return segmenter;
}

}  // namespace radgpt
