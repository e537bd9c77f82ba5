#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "libradgpt/eval/answers.h"
#include "libradgpt/eval/metrics/bootstrap.h"
#include "libradgpt/eval/metrics/classification_metrics.h"
#include "libradgpt/eval/metrics/word_segmenter.h"

namespace radgpt {

/// Scores of one system on one group. Rates are in [0, 1], also ROUGE and BLEU.
///
/// Classification: accuracy, macro_f1, micro_f1, weighted_f1, invalid_rate; for a model also auc,
///   ece, brier, and without a head that classifies generated_accuracy (free answer instead of the
///   closed list; its invalid_rate); with two labels also sensitivity and specificity of the first.
/// Generation: rouge_1, rouge_2, rouge_l, bleu_1 … bleu_4 over characters, the same with _words;
///   laterality_agreement, negation_agreement, number_f1 against the reference.
/// A value that cannot be had (no pair to compare, no word list) is left out. accuracy, macro_f1,
/// rouge_l and bleu_4 have a 95 % interval, the others repeat the value.
struct SystemScores {
  std::string system;
  std::map<std::string, Interval> values;
  std::vector<PrecisionRecall> per_class;       ///< classification, by label
  std::vector<std::vector<int64_t>> confusion;  ///< [truth][answer], last column: invalid
};

/// The items of one task, of all reports or of one centre or modality.
struct ScoreGroup {
  int task = 0;
  std::string centre;    ///< empty: all
  std::string modality;  ///< empty: all
  int64_t items = 0;
  std::vector<SystemScores> systems;  ///< those that apply to the task
};

/// What is computed beside the values themselves.
struct ScoringOptions {
  int resamples = 1000;  ///< of the bootstrap over patients; 0: no intervals
  uint64_t seed = 0;
  const WordSegmenter* words = nullptr;  ///< null: no scores of words
};

/// By task: all items, then each centre, then each modality (names ascending).
std::vector<ScoreGroup> score(const EvaluationSet& set, const std::vector<SystemAnswers>& systems,
                              const ScoringOptions& options);

/// The value of the table: accuracy of a classification, ROUGE-L (characters) of a generation.
std::string headline_metric(TaskKind kind);

}  // namespace radgpt
