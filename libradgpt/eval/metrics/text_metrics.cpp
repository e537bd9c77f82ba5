#include "libradgpt/eval/metrics/text_metrics.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <unordered_map>

#include "libradgpt/base/text.h"
#include "libradgpt/eval/metrics/code_points.h"
#include "libradgpt/eval/metrics/sentence_words.h"

namespace radgpt {
namespace {

using Ids = std::vector<int32_t>;

/// Numbers keys in the order in which they first occur.
template <typename Key>
class Numbering {
 public:
  int32_t operator()(const Key& key) {
    return ids_.try_emplace(key, static_cast<int32_t>(ids_.size())).first->second;
  }
  size_t size() const { return ids_.size(); }

 private:
  std::unordered_map<Key, int32_t> ids_;
};

struct IdPair {
  Ids prediction;
  Ids reference;
};

template <typename Tokens>
IdPair number_tokens(const Tokens& prediction, const Tokens& reference) {
  Numbering<typename Tokens::value_type> number;
  IdPair ids;
  for (const auto& token : prediction) ids.prediction.push_back(number(token));
  for (const auto& token : reference) ids.reference.push_back(number(token));
  return ids;
}

/// How the n-grams of two sequences compare, by distinct ones and by occurrences.
struct GramCounts {
  double distinct_prediction = 0;
  double distinct_reference = 0;
  double distinct_common = 0;
  double occurrences = 0;  ///< in the prediction
  double clipped_matches = 0;
};

GramCounts compare(const IdPair& grams, size_t ids) {
  std::vector<int32_t> in_prediction(ids, 0), in_reference(ids, 0);
  for (const int32_t id : grams.prediction) ++in_prediction[id];
  for (const int32_t id : grams.reference) ++in_reference[id];
  GramCounts counts;
  counts.occurrences = static_cast<double>(grams.prediction.size());
  for (size_t id = 0; id < ids; ++id) {
    const int32_t common = std::min(in_prediction[id], in_reference[id]);
    counts.distinct_prediction += in_prediction[id] > 0;
    counts.distinct_reference += in_reference[id] > 0;
    counts.distinct_common += common > 0;
    counts.clipped_matches += common;
  }
  return counts;
}

/// n-grams from (n-1)-grams: the number of the pair (gram, token that follows it).
Ids lengthen(const Ids& grams, const Ids& tokens, Numbering<uint64_t>& number) {
  Ids longer;
  const size_t order = tokens.size() - grams.size() + 1;  // of `grams`
  for (size_t i = 0; i + order < tokens.size(); ++i) {
    longer.push_back(
        number(static_cast<uint64_t>(grams[i]) << 32 | static_cast<uint32_t>(tokens[i + order])));
  }
  return longer;
}

/// Element n - 1 compares the n-grams.
std::vector<GramCounts> compare_ngrams(const IdPair& tokens, int orders) {
  IdPair grams = tokens;
  size_t ids = tokens.prediction.size() + tokens.reference.size();
  std::vector<GramCounts> counts;
  for (int n = 1; n <= orders; ++n) {
    if (n > 1) {
      Numbering<uint64_t> number;
      grams.prediction = lengthen(grams.prediction, tokens.prediction, number);
      grams.reference = lengthen(grams.reference, tokens.reference, number);
      ids = number.size();
    }
    counts.push_back(compare(grams, ids));
  }
  return counts;
}

double longest_common_subsequence(const Ids& a, const Ids& b) {
  std::vector<int32_t> row(b.size() + 1, 0);  // row[j]: of the a read so far and b[0, j)
  for (const int32_t id : a) {
    int32_t diagonal = 0;
    for (size_t j = 0; j < b.size(); ++j) {
      const int32_t above = row[j + 1];
      row[j + 1] = id == b[j] ? diagonal + 1 : std::max(above, row[j]);
      diagonal = above;
    }
  }
  return row.back();
}

double f_per_cent(double common, double prediction, double reference) {
  const double precision = prediction == 0 ? 0 : common / prediction;
  const double recall = reference == 0 ? 0 : common / reference;
  return 100 * (2 * (precision * recall / (precision + recall + 1e-8)));
}

double rouge_n(const GramCounts& counts) {
  return f_per_cent(counts.distinct_common, counts.distinct_prediction, counts.distinct_reference);
}

void score_rouge(const IdPair& words, TextScores& scores) {
  const std::vector<GramCounts> counts = compare_ngrams(words, 2);
  scores.rouge_1 = rouge_n(counts[0]);
  scores.rouge_2 = rouge_n(counts[1]);
  scores.rouge_l = f_per_cent(longest_common_subsequence(words.prediction, words.reference),
                              static_cast<double>(words.prediction.size()),
                              static_cast<double>(words.reference.size()));
}

void score_bleu(const IdPair& tokens, TextScores& scores) {
  const std::vector<GramCounts> counts = compare_ngrams(tokens, 4);
  if (counts[0].clipped_matches == 0) return;
  const double length_ratio =
      static_cast<double>(tokens.reference.size()) / static_cast<double>(tokens.prediction.size());
  const double brevity_penalty = std::min(1.0, std::exp(1 - length_ratio));
  double sum_of_logs = 0, halving = 1;
  for (int n = 1; n <= 4; ++n) {
    double matches = counts[n - 1].clipped_matches;
    if (matches == 0) matches = halving /= 2;
    sum_of_logs += std::log(matches / std::max(1.0, counts[n - 1].occurrences));
    scores.bleu[n - 1] = 100 * brevity_penalty * std::exp(sum_of_logs / n);
  }
}

}  // namespace

TextScores score_tokens(std::span<const std::string> prediction,
                        std::span<const std::string> reference) {
  TextScores scores;
  const std::vector<std::u32string> predicted_words = sentence_words(prediction);
  const std::vector<std::u32string> reference_words = sentence_words(reference);
  if (!predicted_words.empty() && !reference_words.empty()) {
    score_rouge(number_tokens(predicted_words, reference_words), scores);
  }
  score_bleu(number_tokens(prediction, reference), scores);
  return scores;
}

std::vector<std::string> character_tokens(std::string_view text) {
  std::vector<std::string> tokens;
  for (const char32_t c : code_points(text)) tokens.push_back(encode_utf8({&c, 1}));
  return tokens;
}

}  // namespace radgpt
