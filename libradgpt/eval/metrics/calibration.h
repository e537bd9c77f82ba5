#pragma once

#include <span>
#include <vector>

namespace radgpt {

/// @file
/// Whether the probabilities of a closed list of labels mean what they say.
///
/// `log_scores[i][c]` is the log-likelihood of label c for example i, up to a constant per example;
/// `probabilities[i][c]` sums to 1 over c; `truths[i]` is a label number. All functions throw
/// Error(kInput) if there are no examples, rows differ in length, a truth is no label, or a score
/// is not finite.

/// softmax(log_scores / temperature): the labels' probabilities given that the answer is one of
/// them. Throws Error(kInput) for no labels or a temperature that is not above 0.
std::vector<double> label_probabilities(std::span<const double> log_scores, double temperature);

/// Mean of -ln p(truth), p = label_probabilities(log_scores, temperature).
double negative_log_likelihood(std::span<const std::vector<double>> log_scores,
                               std::span<const int> truths, double temperature);

/// The temperature in [0.1, 10] with the least negative_log_likelihood (Guo et al., "On calibration
/// of modern neural networks", ICML 2017); to be fitted on validation examples. The likelihood is
/// concave in 1 / temperature, so its slope has one change of sign, which is found by bisection in
/// ln(temperature): deterministic, 60 steps. The bounds keep a handful of examples that are all
/// right from making the model certain of everything.
double fit_temperature(std::span<const std::vector<double>> log_scores,
                       std::span<const int> truths);

/// Expected calibration error: examples go into 15 bins of equal width by the probability of their
/// most probable label (bin b holds [b/15, (b+1)/15), the last one 1 too). With n_b examples in bin
/// b, of N in all, their share a_b of right answers and the mean p_b of that probability:
///
///   ECE = sum over b of  n_b / N |a_b - p_b|
double expected_calibration_error(std::span<const std::vector<double>> probabilities,
                                  std::span<const int> truths);

/// Brier's score halved: the mean of 1/2 sum over c of (p_c - [c is the truth])^2. In [0, 1]; with
/// two labels it is the usual mean of (p - [positive])^2.
double brier_score(std::span<const std::vector<double>> probabilities, std::span<const int> truths);

}  // namespace radgpt
