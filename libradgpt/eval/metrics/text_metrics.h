#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace radgpt {

/// Overlap of a generated text with its reference, in per cent.
struct TextScores {
  double rouge_1 = 0;
  double rouge_2 = 0;
  double rouge_l = 0;
  std::array<double, 4> bleu{};  ///< BLEU-1 to BLEU-4
};

/// The scores that Chinese fine-tuning papers print (those of LLaMA-Factory), for tokens that are
/// characters or words. A text without tokens scores 0.
///
/// ROUGE as rouge_chinese 1.0.3 computes it from the tokens joined by single spaces:
///
///   ROUGE-N  precision and recall over the sets of distinct n-grams (not their counts)
///   ROUGE-L  longest common subsequence of all words; precision LCS / |prediction|, recall
///            LCS / |reference|
///   F        2 P R / (P + R + 1e-8); 0 where no n-gram exists (one word, n = 2)
///
/// with its treatment of white space: the text is cut after sentence ends (。！？? …… ......) and
/// at line feeds, white space between words has no weight, and a line that has nothing but white
/// space counts as one empty word.
///
/// BLEU as nltk's sentence_bleu with smoothing method 3 (Chen and Cherry, "A systematic comparison
/// of smoothing techniques for sentence-level BLEU", WMT 2014), over the tokens as they are:
///
///   BLEU-n = BP exp(1/n (ln p_1 + … + ln p_n)),   BP = min(1, exp(1 - |reference| / |prediction|))
///
/// p_k is the clipped precision of k-grams; the j-th p_k without a match counts as
/// 1 / (2^j max(1, number of k-grams)). So equal texts score 100 only from n tokens on. Without a
/// common token BLEU is 0. Do not use it for the answers of a classification.
///
/// Time |prediction| |reference|, memory linear.
TextScores score_tokens(std::span<const std::string> prediction,
                        std::span<const std::string> reference);

/// The characters (code points) of UTF-8 text, white space and punctuation included.
std::vector<std::string> character_tokens(std::string_view text);

}  // namespace radgpt
