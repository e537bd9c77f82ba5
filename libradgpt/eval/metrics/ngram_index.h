#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace radgpt {

/// Finds the most similar of many short texts by the cosine of their TF-IDF vectors over character
/// 2-grams and 3-grams:
///
///   weight(g, text) = (times g is in text) * (1 + ln((1 + texts) / (1 + texts with g)))
///
/// An inverted index: a query reads only the texts that share a gram with it.
class NgramIndex {
 public:
  explicit NgramIndex(std::span<const std::string> texts);

  /// Index of the most similar text, the first one of equally similar ones; 0 if no text shares a
  /// gram with the query. Throws Error(kInput) if there are no texts.
  int most_similar(std::string_view query) const;

 private:
  struct Posting {
    int text;
    float weight;  ///< divided by the length of the text's vector
  };
  struct Gram {
    double inverse_frequency = 0;
    std::vector<Posting> postings;
  };

  size_t texts_;
  std::unordered_map<uint64_t, Gram> grams_;
};

}  // namespace radgpt
