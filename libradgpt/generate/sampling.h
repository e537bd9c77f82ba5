#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace radgpt {

/// How the next token is chosen; the order of the steps is that of Hugging Face's `generate`.
struct SamplingOptions {
  double temperature = 0;         ///< 0: the largest logit, first on ties (greedy)
  int64_t top_k = 0;              ///< keep the k largest and their ties; 0: all
  double top_p = 1;               ///< keep the fewest likeliest tokens of this probability; 1: all
  double repetition_penalty = 1;  ///< divides positive, multiplies negative logits of ids seen
  uint64_t seed = 0;
};

/// Repetition penalty (arXiv 1909.05858): each id of `seen`, once however often it occurs, has its
/// logit s replaced by s / penalty if s > 0, else s * penalty. Ids outside the logits are an error.
void penalise_repetition(std::span<float> logits, std::span<const int32_t> seen, double penalty);

/// Probability of every id after temperature, top-k, top-p (ids sorted ascending whose cumulated
/// probability is <= 1 - top_p are dropped, the best is always kept) and softmax. Requires a
/// temperature above 0.
std::vector<double> filtered_probabilities(std::span<const float> logits,
                                           const SamplingOptions& options);

/// The next id after `seen` (prompt and what was generated). Greedy for temperature 0; else drawn
/// with a random number that is a function of (seed, sequence, step) alone.
int32_t sample_token(std::span<float> logits, std::span<const int32_t> seen,
                     const SamplingOptions& options, uint64_t sequence, uint32_t step);

}  // namespace radgpt
