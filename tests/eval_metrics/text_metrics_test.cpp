#include "libradgpt/eval/metrics/text_metrics.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "libradgpt/eval/metrics/sentence_words.h"
#include "tests/catch.h"
#include "tests/eval_metrics/golden_texts.h"

using namespace radgpt;

namespace {

using Tokens = std::vector<std::string>;

TextScores score_characters(const std::string& prediction, const std::string& reference) {
  return score_tokens(character_tokens(prediction), character_tokens(reference));
}

/// Short texts over few letters, so that n-grams repeat and match.
Tokens random_tokens(std::mt19937& random, size_t longest) {
  Tokens tokens(random() % (longest + 1));
  for (std::string& token : tokens) token = std::string(1, "abc"[random() % 3]);
  return tokens;
}

/// By the definition: every subset of the shorter text's places is tried.
size_t brute_force_lcs(const Tokens& a, const Tokens& b) {
  size_t longest = 0;
  for (unsigned subset = 0; subset < 1u << a.size(); ++subset) {
    size_t taken = 0;
    auto place = b.begin();
    bool fits = true;
    for (size_t i = 0; i < a.size() && fits; ++i) {
      if (!(subset >> i & 1)) continue;
      place = std::find(place, b.end(), a[i]);
      fits = place != b.end();
      if (!fits) break;
      ++place;
      ++taken;
    }
    if (fits) longest = std::max(longest, taken);
  }
  return longest;
}

std::map<Tokens, int> ngrams(const Tokens& tokens, size_t n) {
  std::map<Tokens, int> counts;
  for (size_t i = 0; i + n <= tokens.size(); ++i) {
    ++counts[Tokens(tokens.begin() + i, tokens.begin() + i + n)];
  }
  return counts;
}

double f_per_cent(double precision, double recall) {
  return 200 * precision * recall / (precision + recall + 1e-8);
}

double plain_rouge(const Tokens& prediction, const Tokens& reference, size_t n) {
  const auto predicted = ngrams(prediction, n), wanted = ngrams(reference, n);
  if (predicted.empty() || wanted.empty()) return 0;
  double common = 0;
  for (const auto& [gram, count] : predicted) common += wanted.count(gram);
  return f_per_cent(common / predicted.size(), common / wanted.size());
}

double plain_bleu(const Tokens& prediction, const Tokens& reference, size_t order) {
  double product = 1;
  int without_match = 0;
  for (size_t n = 1; n <= order; ++n) {
    auto wanted = ngrams(reference, n);
    double matches = 0, all = 0;
    for (const auto& [gram, count] : ngrams(prediction, n)) {
      matches += std::min(count, wanted[gram]);
      all += count;
    }
    if (matches == 0 && n == 1) return 0;
    if (matches == 0) matches = std::pow(0.5, ++without_match);
    product *= matches / std::max(all, 1.0);
  }
  const double ratio = static_cast<double>(reference.size()) / prediction.size();
  return 100 * std::pow(product, 1.0 / order) * (ratio < 1 ? 1 : std::exp(1 - ratio));
}

Tokens words_of(const Tokens& tokens) {
  Tokens words;
  for (const std::u32string& word : sentence_words(tokens)) {
    words.emplace_back(word.begin(), word.end());  // ASCII in these tests
  }
  return words;
}

}  // namespace

TEST_CASE("Text metrics: golden character scores of rouge_chinese and nltk") {
  for (const GoldenText& golden : golden_texts()) {
    INFO(golden.prediction << " | " << golden.reference);
    const TextScores scores = score_characters(golden.prediction, golden.reference);
    CHECK(scores.rouge_1 == Approx(golden.characters.rouge_1).margin(1e-4));
    CHECK(scores.rouge_2 == Approx(golden.characters.rouge_2).margin(1e-4));
    CHECK(scores.rouge_l == Approx(golden.characters.rouge_l).margin(1e-4));
    for (int n = 0; n < 4; ++n) {
      CHECK(scores.bleu[n] == Approx(golden.characters.bleu[n]).margin(1e-4));
    }
  }
}

TEST_CASE("Text metrics: values checked by hand") {
  // a b c d against a c d e: LCS "a c d" of 4 and 4; bigram "c d" common, 3 and 3.
  const TextScores scores = score_characters("abcd", "acde");
  CHECK(scores.rouge_1 == Approx(75).margin(1e-5));
  CHECK(scores.rouge_2 == Approx(100.0 / 3).margin(1e-5));
  CHECK(scores.rouge_l == Approx(75).margin(1e-5));
  CHECK(scores.bleu[0] == Approx(75));
  CHECK(scores.bleu[1] == Approx(50));  // sqrt(3/4 1/3)
  // no common trigram of 2: 1/2 / 2; no common 4-gram of 1: 1/4 / 1.
  CHECK(scores.bleu[2] == Approx(100 * std::cbrt(0.25 * 0.25)));
  CHECK(scores.bleu[3] == Approx(100 * std::pow(0.25 * 0.25 * 0.25, 0.25)));
}

TEST_CASE("Text metrics: ROUGE-N counts distinct n-grams, BLEU clips occurrences") {
  const TextScores scores = score_characters("aaaa", "a");
  CHECK(scores.rouge_1 == Approx(100).margin(1e-5));
  CHECK(scores.rouge_l == Approx(40).margin(1e-5));  // precision 1/4, recall 1
  CHECK(scores.bleu[0] == Approx(25));
}

TEST_CASE("Text metrics: a text without tokens scores 0") {
  for (const auto& [prediction, reference] :
       {std::pair{"", "ab"}, {"ab", ""}, {"", ""}, {" \n", "ab"}}) {
    const TextScores scores = score_characters(prediction, reference);
    CHECK(scores.rouge_1 == 0);
    CHECK(scores.rouge_l == 0);
    CHECK(scores.bleu == std::array<double, 4>{});
  }
}

TEST_CASE("Text metrics: the longest common subsequence is that of brute force") {
  std::mt19937 random(1);
  for (int i = 0; i < 300; ++i) {
    const Tokens a = random_tokens(random, 10), b = random_tokens(random, 10);
    if (a.empty() || b.empty()) continue;
    const auto lcs = static_cast<double>(brute_force_lcs(a, b));
    CHECK(score_tokens(a, b).rouge_l ==
          Approx(f_per_cent(lcs / a.size(), lcs / b.size())).margin(1e-9));
  }
}

TEST_CASE("Text metrics: n-gram scores are those of the plain formulas") {
  std::mt19937 random(2);
  for (int i = 0; i < 300; ++i) {
    const Tokens a = random_tokens(random, 30), b = random_tokens(random, 30);
    if (a.empty()) continue;
    const TextScores scores = score_tokens(a, b);
    CHECK(scores.rouge_1 == Approx(plain_rouge(a, b, 1)).margin(1e-9));
    CHECK(scores.rouge_2 == Approx(plain_rouge(a, b, 2)).margin(1e-9));
    for (int n = 1; n <= 4; ++n) {
      CHECK(scores.bleu[n - 1] == Approx(plain_bleu(a, b, n)).margin(1e-9));
    }
  }
}

TEST_CASE("Text metrics: ROUGE is symmetric, and equal texts of 4 tokens score 100") {
  std::mt19937 random(3);
  for (int i = 0; i < 100; ++i) {
    const Tokens a = random_tokens(random, 30), b = random_tokens(random, 30);
    CHECK(score_tokens(a, b).rouge_l == score_tokens(b, a).rouge_l);
    CHECK(score_tokens(a, b).rouge_2 == score_tokens(b, a).rouge_2);
    if (a.size() < 4) continue;
    CHECK(score_tokens(a, a).bleu == std::array<double, 4>{100, 100, 100, 100});
    CHECK(score_tokens(a, a).rouge_l == Approx(100).margin(1e-5));
  }
}

TEST_CASE("Text metrics: long texts need little time and memory") {
  const Tokens a(20000, "a"), b(10000, "a");
  CHECK(score_tokens(a, b).rouge_l == Approx(200.0 / 3).margin(1e-5));
}

TEST_CASE("Text metrics: white space separates words and has no weight of its own") {
  CHECK(words_of({"a", " ", "b", "\n", "c"}) == Tokens{"a", "b", "c"});
  CHECK(words_of({"a b"}) == Tokens{"a", "b"});
  CHECK(words_of({" ", "\n", " "}).empty());
}

TEST_CASE("Text metrics: a line of white space counts as one empty word") {
  CHECK(words_of({"a", "\n", "\n", "b"}) == Tokens{"a", "", "b"});
  // The mark already ends the line, so that the space before the line feed becomes one.
  CHECK(words_of({"a", "?", "\n", "b"}) == Tokens{"a", "?", "", "b"});
  CHECK(words_of({"a", "?", "b"}) == Tokens{"a", "?", "b"});
  CHECK(words_of({"......", "\n", "b"}) == Tokens{"......", "", "b"});
}

TEST_CASE("Text metrics: a mark at once after a sentence end starts no match of its own") {
  CHECK(words_of({"??", "a"}) == Tokens{"?", "?", "a"});
  CHECK(words_of({"???", "a"}) == Tokens{"?", "??", "a"});
}

TEST_CASE("Text metrics: a character cut off by the model is one character") {
  CHECK(character_tokens("右\xE8\x82").size() == 3);  // two bytes of 肺
  CHECK(character_tokens("右肺\r\n").size() == 4);
}
