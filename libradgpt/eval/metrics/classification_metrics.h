#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace radgpt {

/// Stands in the place of a class for an answer that names none of them.
constexpr int kInvalidAnswer = -1;

/// How often each class was answered with each class.
class ConfusionMatrix {
 public:
  /// Throws Error(kInput) unless classes >= 1.
  explicit ConfusionMatrix(int classes);
  /// Of all examples. `truths` and `answers` are class numbers, answers also kInvalidAnswer.
  ConfusionMatrix(int classes, std::span<const int> truths, std::span<const int> answers);

  /// Throws Error(kInput) if a number is out of range.
  void add(int truth, int answer);

  int classes() const { return classes_; }
  int64_t count(int truth, int answer) const { return counts_[index(truth, answer)]; }
  int64_t total() const;
  int64_t correct() const;
  int64_t invalid() const;
  int64_t support(int truth) const;  ///< examples of the class
  int64_t answered(int answer) const;

 private:
  size_t index(int truth, int answer) const;

  int classes_;
  std::vector<int64_t> counts_;  ///< [truth][answer]; column `classes_` holds invalid answers
};

/// All in [0, 1]; a quotient of 0 by 0 is 0.
struct PrecisionRecall {
  double precision = 0;
  double recall = 0;
  double f1 = 0;  ///< 2 P R / (P + R)
};

/// An invalid answer is wrong: a missed example of its true class (recall, accuracy), and no false
/// alarm of any class (precision).
struct ClassificationScores {
  double accuracy = 0;
  double invalid_rate = 0;
  std::vector<PrecisionRecall> per_class;
  /// Unweighted mean over the classes that occur among truths or answers; its f1 is the mean of
  /// the f1, as scikit-learn has it, not the f1 of the means.
  PrecisionRecall macro;
  /// From the sums over classes; equals the accuracy if no answer is invalid.
  PrecisionRecall micro;
  /// Mean over classes, weighted by how many examples each has.
  PrecisionRecall weighted;
};

/// All of these scores at once.
ClassificationScores score_classification(const ConfusionMatrix& confusion);

/// Of one class against all others; 0 where there are no such examples.
struct BinaryScores {
  double sensitivity = 0;  ///< share of the examples of the class that are answered with it
  double specificity = 0;  ///< share of the other examples that are answered with another class
};

/// An invalid answer is wrong for either.
BinaryScores score_binary(const ConfusionMatrix& confusion, int positive);

/// Area under the receiver operating characteristic: the chance that an example of class `positive`
/// has a higher score than one of another class, ties counting half (Mann and Whitney's U, from
/// ranks; O(n log n)). Nothing if one of the two groups is empty.
std::optional<double> area_under_curve(std::span<const double> scores, std::span<const int> truths,
                                       int positive);

/// The unweighted mean of each class's area against the rest, over classes for which there is one.
/// With two classes it is the usual area. `probabilities[i][c]` is that of class c for example i.
std::optional<double> mean_area_under_curve(std::span<const std::vector<double>> probabilities,
                                            std::span<const int> truths);

}  // namespace radgpt
