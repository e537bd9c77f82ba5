#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libradgpt/eval/metrics/word_dictionary.h"
#include "libradgpt/eval/metrics/word_hmm.h"

namespace radgpt {

/// Cuts Chinese text into words exactly as jieba 0.42.1 does in its accurate mode with its hidden
/// Markov model, which is what published word-level ROUGE scores are based on.
class WordSegmenter {
 public:
  /// `folder` holds dict.txt (jieba's own) and hmm.txt (see WordHmm). Throws Error(kInput) if one
  /// cannot be read or has a faulty line.
  explicit WordSegmenter(const std::string& folder);

  /// Adds words from a file in jieba's format, one a line: `word [frequency] [tag]`. A word without
  /// a frequency gets the one that just makes it preferred to its parts.
  void add_words(const std::string& path);

  /// The words of UTF-8 text, in order; joined they give the text again. White space is kept.
  std::vector<std::string> cut(std::string_view text) const;

 private:
  enum class UnknownWords { kSingleCharacters, kJoined };

  void add_word(std::u32string_view word);
  std::vector<std::u32string_view> cut(std::u32string_view text, UnknownWords unknown) const;

  WordDictionary dictionary_;
  WordHmm model_;
};

/// The segmenter of a folder, with the words of `user_dictionary` unless that path is empty;
/// nothing if the folder lacks dict.txt or hmm.txt, so that a product installed without them leaves
/// scores of words out.
std::optional<WordSegmenter> find_word_segmenter(const std::string& folder,
                                                 const std::string& user_dictionary);

}  // namespace radgpt
