#include "libradgpt/eval/metrics/classification_metrics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "libradgpt/base/error.h"

namespace radgpt {
namespace {

double quotient(double part, double whole) { return whole == 0 ? 0 : part / whole; }

PrecisionRecall from_counts(double correct, double answered, double support) {
  PrecisionRecall scores;
  scores.precision = quotient(correct, answered);
  scores.recall = quotient(correct, support);
  scores.f1 = quotient(2 * correct, answered + support);
  return scores;
}

void add_weighted(PrecisionRecall& sum, const PrecisionRecall& scores, double weight) {
  sum.precision += weight * scores.precision;
  sum.recall += weight * scores.recall;
  sum.f1 += weight * scores.f1;
}

PrecisionRecall divided(const PrecisionRecall& sum, double weight) {
  return {quotient(sum.precision, weight), quotient(sum.recall, weight), quotient(sum.f1, weight)};
}

}  // namespace

ConfusionMatrix::ConfusionMatrix(int classes) : classes_(classes) {
  require(classes >= 1, "confusion matrix: classes must be >= 1, got ", classes);
  counts_.assign(static_cast<size_t>(classes) * (classes + 1), 0);
}

ConfusionMatrix::ConfusionMatrix(int classes, std::span<const int> truths,
                                 std::span<const int> answers)
    : ConfusionMatrix(classes) {
  require(truths.size() == answers.size(), "confusion matrix: must have one answer a truth, got ",
          truths.size(), " truths and ", answers.size(), " answers");
  for (size_t i = 0; i < truths.size(); ++i) add(truths[i], answers[i]);
}

size_t ConfusionMatrix::index(int truth, int answer) const {
  const int column = answer == kInvalidAnswer ? classes_ : answer;
  return static_cast<size_t>(truth) * (classes_ + 1) + column;
}

void ConfusionMatrix::add(int truth, int answer) {
  require(truth >= 0 && truth < classes_ && answer >= kInvalidAnswer && answer < classes_,
          "confusion matrix: classes must be in [0, ", classes_, "), got truth ", truth,
          " and answer ", answer);
  ++counts_[index(truth, answer)];
}

int64_t ConfusionMatrix::total() const {
  return std::accumulate(counts_.begin(), counts_.end(), int64_t{0});
}

int64_t ConfusionMatrix::correct() const {
  int64_t sum = 0;
  for (int c = 0; c < classes_; ++c) sum += count(c, c);
  return sum;
}

int64_t ConfusionMatrix::invalid() const { return answered(kInvalidAnswer); }

int64_t ConfusionMatrix::support(int truth) const {
  int64_t sum = 0;
  for (int answer = kInvalidAnswer; answer < classes_; ++answer) sum += count(truth, answer);
  return sum;
}

int64_t ConfusionMatrix::answered(int answer) const {
  int64_t sum = 0;
  for (int truth = 0; truth < classes_; ++truth) sum += count(truth, answer);
  return sum;
}

ClassificationScores score_classification(const ConfusionMatrix& confusion) {
  const auto total = static_cast<double>(confusion.total());
  const auto correct = static_cast<double>(confusion.correct());
  const auto invalid = static_cast<double>(confusion.invalid());
  ClassificationScores scores;
  scores.accuracy = quotient(correct, total);
  scores.invalid_rate = quotient(invalid, total);
  scores.micro = from_counts(correct, total - invalid, total);
  double occurring = 0;
  for (int c = 0; c < confusion.classes(); ++c) {
    const auto support = static_cast<double>(confusion.support(c));
    const auto answered = static_cast<double>(confusion.answered(c));
    const PrecisionRecall of_class =
        from_counts(static_cast<double>(confusion.count(c, c)), answered, support);
    scores.per_class.push_back(of_class);
    occurring += support + answered > 0;
    add_weighted(scores.macro, of_class, 1);
    add_weighted(scores.weighted, of_class, support);
  }
  scores.macro = divided(scores.macro, occurring);
  scores.weighted = divided(scores.weighted, total);
  return scores;
}

BinaryScores score_binary(const ConfusionMatrix& confusion, int positive) {
  const auto support = static_cast<double>(confusion.support(positive));
  const auto found = static_cast<double>(confusion.count(positive, positive));
  const auto others = static_cast<double>(confusion.total()) - support;
  double rightly_other = 0;
  for (int truth = 0; truth < confusion.classes(); ++truth) {
    if (truth == positive) continue;
    for (int answer = 0; answer < confusion.classes(); ++answer) {
      if (answer != positive) rightly_other += static_cast<double>(confusion.count(truth, answer));
    }
  }
  return {quotient(found, support), quotient(rightly_other, others)};
}

std::optional<double> area_under_curve(std::span<const double> scores, std::span<const int> truths,
                                       int positive) {
  require(scores.size() == truths.size(), "area under curve: must have one score a truth, got ",
          scores.size(), " scores and ", truths.size(), " truths");
  const bool ordered =
      std::none_of(scores.begin(), scores.end(), [](double s) { return std::isnan(s); });
  require(ordered, "area under curve: scores must be numbers, got NaN");
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] < scores[b]; });
  double positives = 0, negatives = 0, wins = 0;
  for (size_t begin = 0; begin < order.size();) {
    double tied_positives = 0, tied_negatives = 0;
    const double score = scores[order[begin]];
    for (; begin < order.size() && scores[order[begin]] == score; ++begin) {
      (truths[order[begin]] == positive ? tied_positives : tied_negatives) += 1;
    }
    wins += tied_positives * (negatives + tied_negatives / 2);
    positives += tied_positives;
    negatives += tied_negatives;
  }
  if (positives == 0 || negatives == 0) return std::nullopt;
  return wins / (positives * negatives);
}

std::optional<double> mean_area_under_curve(std::span<const std::vector<double>> probabilities,
                                            std::span<const int> truths) {
  const size_t classes = probabilities.empty() ? 0 : probabilities[0].size();
  double sum = 0, areas = 0;
  for (size_t c = 0; c < classes; ++c) {
    std::vector<double> scores;
    for (const std::vector<double>& row : probabilities) {
      require(row.size() == classes, "area under curve: rows must have ", classes,
              " probabilities, got ", row.size());
      scores.push_back(row[c]);
    }
    const auto area = area_under_curve(scores, truths, static_cast<int>(c));
    if (!area) continue;
    sum += *area;
    areas += 1;
  }
  if (areas == 0) return std::nullopt;
  return sum / areas;
}

}  // namespace radgpt
