#include "libradgpt/eval/metrics/calibration.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "libradgpt/base/error.h"
#include "libradgpt/formats/calibration_file.h"

namespace radgpt {
namespace {

constexpr int kBisections = 60;
constexpr int kBins = 15;

void check(std::span<const std::vector<double>> rows, std::span<const int> truths) {
  require(!rows.empty() && rows.size() == truths.size(),
          "calibration: must have one row of labels a truth, got ", rows.size(), " rows and ",
          truths.size(), " truths");
  for (size_t i = 0; i < rows.size(); ++i) {
    require(rows[i].size() == rows[0].size(), "calibration: row ", i, " must have ", rows[0].size(),
            " labels, got ", rows[i].size());
    require(truths[i] >= 0 && static_cast<size_t>(truths[i]) < rows[i].size(),
            "calibration: truth ", i, " must be in [0, ", rows[i].size(), "), got ", truths[i]);
    const bool finite =
        std::all_of(rows[i].begin(), rows[i].end(), [](double x) { return std::isfinite(x); });
    require(finite, "calibration: row ", i, " must be finite, got a NaN or an infinity");
  }
}

/// Slope of the negative log-likelihood in 1 / temperature, times the number of examples: the
/// expected score less the score of the truth.
double slope(std::span<const std::vector<double>> rows, std::span<const int> truths,
             double temperature) {
  double sum = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::vector<double> p = label_probabilities(rows[i], temperature);
    for (size_t c = 0; c < p.size(); ++c) sum += p[c] * (rows[i][c] - rows[i][truths[i]]);
  }
  return sum;
}

}  // namespace

std::vector<double> label_probabilities(std::span<const double> log_scores, double temperature) {
  require(!log_scores.empty(), "label probabilities: must have a label, got none");
  require(temperature > 0, "label probabilities: temperature must be above 0, got ", temperature);
  const double highest = *std::max_element(log_scores.begin(), log_scores.end());
  std::vector<double> p;
  double sum = 0;
  for (const double score : log_scores) {
    p.push_back(std::exp((score - highest) / temperature));
    sum += p.back();
  }
  for (double& value : p) value /= sum;
  return p;
}

double negative_log_likelihood(std::span<const std::vector<double>> log_scores,
                               std::span<const int> truths, double temperature) {
  check(log_scores, truths);
  double sum = 0;
  for (size_t i = 0; i < log_scores.size(); ++i) {
    const std::vector<double>& row = log_scores[i];
    const double truth = row[truths[i]];
    // ln of the sum of exp((score - truth) / T), with the largest term taken out.
    const double highest = (*std::max_element(row.begin(), row.end()) - truth) / temperature;
    double rest = 0;
    for (const double score : row) rest += std::exp((score - truth) / temperature - highest);
    sum += highest + std::log(rest);
  }
  return sum / static_cast<double>(log_scores.size());
}

double fit_temperature(std::span<const std::vector<double>> log_scores,
                       std::span<const int> truths) {
  check(log_scores, truths);
  double low = std::log(kLowestTemperature), high = std::log(kHighestTemperature);
  if (slope(log_scores, truths, kHighestTemperature) >= 0) return kHighestTemperature;
  if (slope(log_scores, truths, kLowestTemperature) <= 0) return kLowestTemperature;
  for (int i = 0; i < kBisections; ++i) {
    const double middle = (low + high) / 2;
    // Too cold a temperature overstates the probable labels: the slope is positive.
    (slope(log_scores, truths, std::exp(middle)) > 0 ? low : high) = middle;
  }
  // Rounding of exp and log may step over a bound.
  return std::clamp(std::exp((low + high) / 2), kLowestTemperature, kHighestTemperature);
}

double expected_calibration_error(std::span<const std::vector<double>> probabilities,
                                  std::span<const int> truths) {
  check(probabilities, truths);
  std::array<double, kBins> excess{};  // sum of (right or not) - probability
  for (size_t i = 0; i < probabilities.size(); ++i) {
    const std::vector<double>& row = probabilities[i];
    const auto best = std::max_element(row.begin(), row.end());
    const int bin = std::clamp(static_cast<int>(*best * kBins), 0, kBins - 1);
    excess[bin] += (best - row.begin() == truths[i] ? 1 : 0) - *best;
  }
  double sum = 0;
  for (const double value : excess) sum += std::abs(value);
  return sum / static_cast<double>(probabilities.size());
}

double brier_score(std::span<const std::vector<double>> probabilities,
                   std::span<const int> truths) {
  check(probabilities, truths);
  double sum = 0;
  for (size_t i = 0; i < probabilities.size(); ++i) {
    for (size_t c = 0; c < probabilities[i].size(); ++c) {
      const double miss = probabilities[i][c] - (static_cast<int>(c) == truths[i] ? 1 : 0);
      sum += miss * miss / 2;
    }
  }
  return sum / static_cast<double>(probabilities.size());
}

}  // namespace radgpt
