#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "libradgpt/eval/evaluation_set.h"
#include "libradgpt/eval/metrics/classification_metrics.h"
#include "libradgpt/generate/generate.h"
#include "libradgpt/heads/head.h"
#include "libradgpt/model/baichuan.h"

namespace radgpt {

/// What a system says to one item.
struct Answer {
  std::string text;  ///< classification: the answer of the chosen label
  int label = kInvalidAnswer;
  /// Classification by a model: probability of each label, calibrated; else empty.
  std::vector<double> probabilities;
  /// Classification by a model's own words: the label that its freely generated answer names, or
  /// kInvalidAnswer. The chosen label comes from the probabilities and is always valid.
  std::optional<int> generated_label;
};

/// Answers of one system ("base", "adapter", "nearest neighbour"), one an item; nothing where the
/// system does not apply to the item's task.
struct SystemAnswers {
  std::string system;
  std::vector<std::optional<Answer>> answers;
};

/// A model that is asked, and who answers its classifications.
struct AskedModel {
  std::string system;
  const Baichuan& model;
  /// Answers the one task of the set by its class probabilities; null: the model does in its own
  /// words, scored over the closed list of labels.
  const Head* head = nullptr;
};

/// Calls with (done, of) now and then.
using AnswerProgress = std::function<void(int64_t done, int64_t of)>;

/// Temperature of the label probabilities by task.
using Temperatures = std::map<int, double>;

/// For every classification, the temperature under which the labels of `validation` are likeliest
/// (see fit_temperature); tasks without validation items are left out (temperature 1).
Temperatures fit_temperatures(const AskedModel& asked, const EvaluationSet& validation);

/// Asks a model every item: closed lists are scored, free text is generated.
SystemAnswers answer_with_model(const AskedModel& asked, const Tokenizer& tokenizer,
                                const EvaluationSet& set, const Temperatures& temperatures,
                                const GenerationOptions& options,
                                const AnswerProgress& progress = {});

/// Majority class, first sentences and nearest neighbour, learnt from the training examples; those
/// that apply to a task of the set, in the order of kBaselineNames.
std::vector<SystemAnswers> answer_with_baselines(const EvaluationSet& set,
                                                 const CorpusPart& training);

}  // namespace radgpt
