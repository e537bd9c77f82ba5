#pragma once

#include <array>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace radgpt {

/// Joins Chinese characters that the dictionary does not know as a word: the hidden Markov model of
/// jieba 0.42.1, with the states B (begin of a word), M (middle), E (end), S (single) and Viterbi's
/// algorithm.
class WordHmm {
 public:
  /// Reads lines `start B x`, `trans B E x` and `emit B 一 x`, x a natural logarithm of a
  /// probability. Throws Error(kInput) naming file and line if one is not of that form.
  static WordHmm read(const std::string& path);

  /// Lengths of the words, in characters, that a text of Chinese characters consists of.
  std::vector<size_t> word_lengths(std::u32string_view text) const;

 private:
  static constexpr int kStates = 4;
  /// Stands for probability 0.
  static constexpr double kNever = -3.14e100;
  using PerState = std::array<double, kStates>;

  WordHmm();
  const PerState& emission(char32_t c) const;
  PerState advance(const PerState& before, char32_t c, std::array<int, kStates>& from) const;

  PerState start_;
  std::array<PerState, kStates> transition_;  ///< [from][to]
  std::unordered_map<char32_t, PerState> emission_;
  PerState no_emission_;
};

}  // namespace radgpt
