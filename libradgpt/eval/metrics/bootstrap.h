#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace radgpt {

/// A score and the range in which it would lie for 95 of 100 other samples of patients.
struct Interval {
  double value = 0;
  double low = 0;
  double high = 0;
};

/// Percentile confidence intervals by resampling patients (cluster bootstrap): examples of one
/// patient are alike, so each resample draws as many patients as there are, with replacement, and
/// takes all examples of each draw.
///
/// Resample r is a function of (seed, r) alone. So two statistics over the same examples see the
/// same resamples, and the interval of a difference (adapter minus base, example by example) is the
/// paired one.
class PatientBootstrap {
 public:
  /// A statistic of the examples with these indices, some of them more than once.
  using Statistic = std::function<double(std::span<const int> examples)>;

  /// `patients[i]` names the patient of example i. Throws Error(kInput) if there is none or if
  /// resamples < 1.
  PatientBootstrap(std::span<const std::string> patients, uint64_t seed, int resamples = 1000);

  /// The statistic of all examples between the 2.5th and 97.5th percentile (linear interpolation)
  /// of the resamples. Resamples for which it is not finite are left out; if all are, both ends are
  /// NaN.
  Interval interval(const Statistic& statistic) const;

  /// Of the mean of one value an example.
  Interval mean(std::span<const double> values) const;
  /// Of the share of examples with answers[i] == truths[i].
  Interval accuracy(std::span<const int> truths, std::span<const int> answers) const;
  /// Of the macro F1 of score_classification.
  Interval macro_f1(int classes, std::span<const int> truths, std::span<const int> answers) const;

 private:
  void require_all(size_t values) const;

  uint64_t seed_;
  int resamples_;
  std::vector<std::vector<int>> examples_;  ///< of each patient
  std::vector<int> all_;
};

}  // namespace radgpt
