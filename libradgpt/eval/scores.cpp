#include "libradgpt/eval/scores.h"

#include <algorithm>
#include <optional>
#include <set>

#include "libradgpt/base/error.h"
#include "libradgpt/eval/metrics/calibration.h"
#include "libradgpt/eval/metrics/clinical_agreement.h"
#include "libradgpt/eval/metrics/text_metrics.h"

namespace radgpt {

namespace {

/// The items of a group with what is known about each.
struct GroupItems {
  std::vector<size_t> items;
  std::vector<std::string> patients;
};

Interval exactly(double value) { return {value, value, value}; }

/// Interval of the mean of one value an item, or the mean alone.
Interval mean_of(const std::optional<PatientBootstrap>& bootstrap,
                 const std::vector<double>& values) {
  if (bootstrap) return bootstrap->mean(values);
  double sum = 0.0;
  for (const double value : values) sum += value;
  return exactly(sum / static_cast<double>(values.size()));
}

class GroupScorer {
 public:
  GroupScorer(const EvaluationSet& set, GroupItems group, const ScoringOptions& options)
      : set_(set), group_(std::move(group)), options_(options) {
    if (options.resamples > 0) {
      bootstrap_.emplace(group_.patients, options.seed, options.resamples);
    }
  }

  SystemScores score(const SystemAnswers& system) const {
    SystemScores scores;
    scores.system = system.system;
    if (set_.classifies(set_.items[group_.items.front()])) {
      score_labels_of(system, scores);
    } else {
      score_texts_of(system, scores);
    }
    return scores;
  }

 private:
  const Answer& answer(const SystemAnswers& system, size_t i) const {
    return *system.answers[group_.items[i]];
  }

  void score_labels_of(const SystemAnswers& system, SystemScores& scores) const;
  void score_probabilities(const SystemAnswers& system, const std::vector<int>& truths,
                           SystemScores& scores) const;
  void score_texts_of(const SystemAnswers& system, SystemScores& scores) const;
  void score_overlap(const SystemAnswers& system, SystemScores& scores) const;
  void score_words(const SystemAnswers& system, SystemScores& scores) const;

  const EvaluationSet& set_;
  GroupItems group_;
  ScoringOptions options_;
  std::optional<PatientBootstrap> bootstrap_;
};

void GroupScorer::score_labels_of(const SystemAnswers& system, SystemScores& scores) const {
  const Task& task = set_.task(set_.items[group_.items.front()]);
  const int classes = static_cast<int>(task.labels.size());
  std::vector<int> truths;
  std::vector<int> labels;
  for (size_t i = 0; i < group_.items.size(); ++i) {
    truths.push_back(set_.items[group_.items[i]].example->label);
    labels.push_back(answer(system, i).label);
  }
  const ConfusionMatrix confusion(classes, truths, labels);
  const ClassificationScores all = score_classification(confusion);
  scores.per_class = all.per_class;
  for (int truth = 0; truth < classes; ++truth) {
    std::vector<int64_t>& row = scores.confusion.emplace_back();
    for (int label = 0; label < classes; ++label) row.push_back(confusion.count(truth, label));
    row.push_back(confusion.count(truth, kInvalidAnswer));
  }
  auto& values = scores.values;
  values["accuracy"] = bootstrap_ ? bootstrap_->accuracy(truths, labels) : exactly(all.accuracy);
  values["macro_f1"] =
      bootstrap_ ? bootstrap_->macro_f1(classes, truths, labels) : exactly(all.macro.f1);
  values["micro_f1"] = exactly(all.micro.f1);
  values["weighted_f1"] = exactly(all.weighted.f1);
  values["invalid_rate"] = exactly(all.invalid_rate);
  if (classes == 2) {
    const BinaryScores binary = score_binary(confusion, 0);
    values["sensitivity"] = exactly(binary.sensitivity);
    values["specificity"] = exactly(binary.specificity);
  }
  if (!answer(system, 0).probabilities.empty()) score_probabilities(system, truths, scores);
}

void GroupScorer::score_probabilities(const SystemAnswers& system, const std::vector<int>& truths,
                                      SystemScores& scores) const {
  std::vector<std::vector<double>> probabilities;
  double generated_right = 0;
  double generated_invalid = 0;
  for (size_t i = 0; i < truths.size(); ++i) {
    const Answer& given = answer(system, i);
    probabilities.push_back(given.probabilities);
    if (given.generated_label == truths[i]) ++generated_right;
    if (given.generated_label == kInvalidAnswer) ++generated_invalid;
  }
  const auto count = static_cast<double>(truths.size());
  if (answer(system, 0).generated_label) {
    scores.values["generated_accuracy"] = exactly(generated_right / count);
    scores.values["invalid_rate"] = exactly(generated_invalid / count);
  }
  scores.values["ece"] = exactly(expected_calibration_error(probabilities, truths));
  scores.values["brier"] = exactly(brier_score(probabilities, truths));
  if (const std::optional<double> area = mean_area_under_curve(probabilities, truths)) {
    scores.values["auc"] = exactly(*area);
  }
}

void GroupScorer::score_overlap(const SystemAnswers& system, SystemScores& scores) const {
  std::map<std::string, std::vector<double>> values;
  for (size_t i = 0; i < group_.items.size(); ++i) {
    const TextScores text =
        score_tokens(character_tokens(answer(system, i).text),
                     character_tokens(set_.items[group_.items[i]].example->answer));
    values["rouge_1"].push_back(text.rouge_1 / 100);
    values["rouge_2"].push_back(text.rouge_2 / 100);
    values["rouge_l"].push_back(text.rouge_l / 100);
    for (size_t n = 0; n < text.bleu.size(); ++n) {
      values[concat("bleu_", n + 1)].push_back(text.bleu[n] / 100);
    }
  }
  for (const auto& [name, list] : values) {
    const bool headline = name == "rouge_l" || name == "bleu_4";
    scores.values[name] = mean_of(headline ? bootstrap_ : std::nullopt, list);
  }
}

void GroupScorer::score_words(const SystemAnswers& system, SystemScores& scores) const {
  std::map<std::string, double> sums;
  for (size_t i = 0; i < group_.items.size(); ++i) {
    const TextScores text =
        score_tokens(options_.words->cut(answer(system, i).text),
                     options_.words->cut(set_.items[group_.items[i]].example->answer));
    sums["rouge_1_words"] += text.rouge_1;
    sums["rouge_2_words"] += text.rouge_2;
    sums["rouge_l_words"] += text.rouge_l;
    for (size_t n = 0; n < text.bleu.size(); ++n)
      sums[concat("bleu_", n + 1, "_words")] += text.bleu[n];
  }
  for (const auto& [name, sum] : sums) {
    scores.values[name] = exactly(sum / 100 / static_cast<double>(group_.items.size()));
  }
}

void GroupScorer::score_texts_of(const SystemAnswers& system, SystemScores& scores) const {
  score_overlap(system, scores);
  if (options_.words != nullptr) score_words(system, scores);
  ClinicalAgreement agreement;
  for (size_t i = 0; i < group_.items.size(); ++i) {
    agreement +=
        compare_clinically(answer(system, i).text, set_.items[group_.items[i]].example->answer);
  }
  const auto put = [&scores](const std::string& name, const std::optional<double>& value) {
    if (value) scores.values[name] = exactly(*value);
  };
  put("laterality_agreement", agreement.laterality_agreement());
  put("negation_agreement", agreement.negation_agreement());
  put("number_f1", agreement.number_f1());
}

bool applies(const SystemAnswers& system, const GroupItems& group) {
  return system.answers[group.items.front()].has_value();
}

}  // namespace

std::string headline_metric(TaskKind kind) {
  return kind == TaskKind::kClassification ? "accuracy" : "rouge_l";
}

std::vector<ScoreGroup> score(const EvaluationSet& set, const std::vector<SystemAnswers>& systems,
                              const ScoringOptions& options) {
  // Groups in the order of the result: (task, kind of group, name).
  enum class Kind { kAll, kCentre, kModality };
  std::map<std::tuple<int, Kind, std::string>, GroupItems> groups;
  for (size_t i = 0; i < set.items.size(); ++i) {
    const EvaluationItem& item = set.items[i];
    const Report& report = set.report(item);
    const std::pair<Kind, std::string> kinds[] = {
        {Kind::kAll, ""}, {Kind::kCentre, report.centre}, {Kind::kModality, report.modality}};
    for (const auto& [kind, name] : kinds) {
      GroupItems& group = groups[{item.task, kind, name}];
      group.items.push_back(i);
      group.patients.push_back(report.patient);
    }
  }
  std::vector<ScoreGroup> result;
  for (const auto& [key, group] : groups) {
    const auto& [task, kind, name] = key;
    ScoreGroup scored;
    scored.task = task;
    if (kind == Kind::kCentre) scored.centre = name;
    if (kind == Kind::kModality) scored.modality = name;
    scored.items = static_cast<int64_t>(group.items.size());
    const GroupScorer scorer(set, group, options);
    for (const SystemAnswers& system : systems) {
      if (applies(system, group)) scored.systems.push_back(scorer.score(system));
    }
    result.push_back(std::move(scored));
  }
  return result;
}

}  // namespace radgpt
