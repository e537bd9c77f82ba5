#include "libradgpt/eval/metrics/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <unordered_map>

#include "libradgpt/base/error.h"
#include "libradgpt/base/random.h"
#include "libradgpt/eval/metrics/classification_metrics.h"

namespace radgpt {
namespace {

/// Of ascending values, with linear interpolation between neighbours.
double percentile(const std::vector<double>& ascending, double share) {
  if (ascending.empty()) return std::numeric_limits<double>::quiet_NaN();
  const double place = share * static_cast<double>(ascending.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, ascending.size() - 1);
  return std::lerp(ascending[below], ascending[above], place - static_cast<double>(below));
}

}  // namespace

PatientBootstrap::PatientBootstrap(std::span<const std::string> patients, uint64_t seed,
                                   int resamples)
    : seed_(seed), resamples_(resamples), all_(patients.size()) {
  require(!patients.empty(), "bootstrap: must have at least one example, got none");
  require(resamples >= 1, "bootstrap: resamples must be >= 1, got ", resamples);
  std::iota(all_.begin(), all_.end(), 0);
  std::unordered_map<std::string, size_t> groups;
  for (const int example : all_) {
    const size_t group = groups.try_emplace(patients[example], groups.size()).first->second;
    if (group == examples_.size()) examples_.emplace_back();
    examples_[group].push_back(example);
  }
}

Interval PatientBootstrap::interval(const Statistic& statistic) const {
  std::vector<double> values;
  std::vector<int> drawn;
  const auto patients = static_cast<uint32_t>(examples_.size());
  for (int resample = 0; resample < resamples_; ++resample) {
    Random random(seed_, RandomStream::kBootstrap, static_cast<uint64_t>(resample));
    drawn.clear();
    for (uint32_t draw = 0; draw < patients; ++draw) {
      const std::vector<int>& examples = examples_[random.next_below(patients)];
      drawn.insert(drawn.end(), examples.begin(), examples.end());
    }
    const double value = statistic(drawn);
    if (std::isfinite(value)) values.push_back(value);
  }
  std::sort(values.begin(), values.end());
  return {statistic(all_), percentile(values, 0.025), percentile(values, 0.975)};
}

void PatientBootstrap::require_all(size_t values) const {
  require(values == all_.size(), "bootstrap: must have one value for each of ", all_.size(),
          " examples, got ", values);
}

Interval PatientBootstrap::mean(std::span<const double> values) const {
  require_all(values.size());
  return interval([values](std::span<const int> examples) {
    double sum = 0;
    for (const int example : examples) sum += values[example];
    return sum / static_cast<double>(examples.size());
  });
}

Interval PatientBootstrap::accuracy(std::span<const int> truths,
                                    std::span<const int> answers) const {
  require_all(truths.size());
  require_all(answers.size());
  std::vector<double> right;
  for (size_t i = 0; i < truths.size(); ++i) right.push_back(truths[i] == answers[i] ? 1 : 0);
  return mean(right);
}

Interval PatientBootstrap::macro_f1(int classes, std::span<const int> truths,
                                    std::span<const int> answers) const {
  require_all(truths.size());
  require_all(answers.size());
  return interval([=](std::span<const int> examples) {
    ConfusionMatrix confusion(classes);
    for (const int example : examples) confusion.add(truths[example], answers[example]);
    return score_classification(confusion).macro.f1;
  });
}

}  // namespace radgpt
