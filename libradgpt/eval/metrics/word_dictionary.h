#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace radgpt {

/// Words with their frequencies, as a trie over code points, and the most probable split of a text
/// into them: jieba's prefix dictionary (MIT, version 0.42.1).
class WordDictionary {
 public:
  static constexpr int32_t kRoot = 0;
  static constexpr int32_t kNone = -1;

  /// Reads lines `word frequency [tag]`. Throws Error(kInput) naming file and line if one is not
  /// of that form or not UTF-8.
  static WordDictionary read(const std::string& path);

  /// Adds a word, or changes the frequency of one; the total grows by `frequency` either way.
  void add(std::u32string_view word, int64_t frequency);

  /// Follows one character down the trie; kNone where no word goes on so.
  int32_t child(int32_t node, char32_t c) const;
  /// The node of `text`, which is a word or the beginning of one; kNone otherwise.
  int32_t find(std::u32string_view text) const;
  /// 0 where a node is no word but only the beginning of one.
  int64_t frequency(int32_t node) const { return frequencies_[node]; }
  bool has_word(std::u32string_view text) const;
  int64_t total() const { return total_; }

  /// Ends of the words of the split that maximises the sum of log(frequency / total); a
  /// character that begins no word counts as one of frequency 1. Of equally good words the longer
  /// one is taken.
  std::vector<size_t> best_split(std::u32string_view text) const;

 private:
  std::unordered_map<uint64_t, int32_t> children_;  ///< (node, character) to node
  std::vector<int64_t> frequencies_ = {0};          ///< by node
  int64_t total_ = 0;
};

}  // namespace radgpt
