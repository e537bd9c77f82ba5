#include "libradgpt/generate/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "libradgpt/base/error.h"
#include "libradgpt/base/random.h"

namespace radgpt {

namespace {

constexpr float kDropped = -std::numeric_limits<float>::infinity();

std::vector<double> softmax(std::span<const float> scores) {
  const double largest = *std::max_element(scores.begin(), scores.end());
  std::vector<double> result(scores.size());
  double sum = 0;
  for (size_t i = 0; i < scores.size(); ++i) sum += result[i] = std::exp(scores[i] - largest);
  for (double& one : result) one /= sum;
  return result;
}

void keep_top_k(std::vector<float>& scores, int64_t k) {
  if (k <= 0 || k >= static_cast<int64_t>(scores.size())) return;
  std::vector<float> sorted = scores;
  std::nth_element(sorted.begin(), sorted.begin() + (k - 1), sorted.end(), std::greater<>());
  const float least = sorted[k - 1];
  for (float& score : scores) {
    if (score < least) score = kDropped;
  }
}

void keep_top_p(std::vector<float>& scores, double p) {
  if (p >= 1) return;
  const std::vector<double> probability = softmax(scores);
  std::vector<int32_t> ascending;
  for (size_t id = 0; id < scores.size(); ++id) {
    if (scores[id] != kDropped) ascending.push_back(static_cast<int32_t>(id));
  }
  std::sort(ascending.begin(), ascending.end(), [&](int32_t a, int32_t b) {
    return scores[a] != scores[b] ? scores[a] < scores[b] : a > b;
  });
  double sum = 0;
  for (size_t i = 0; i + 1 < ascending.size(); ++i) {
    sum += probability[ascending[i]];
    if (sum > 1 - p) return;
    scores[ascending[i]] = kDropped;
  }
}

int32_t draw(const std::vector<double>& probabilities, double uniform) {
  double sum = 0;
  int32_t last = 0;
  for (size_t id = 0; id < probabilities.size(); ++id) {
    if (probabilities[id] == 0) continue;
    last = static_cast<int32_t>(id);
    sum += probabilities[id];
    if (sum > uniform) break;
  }
  return last;  // also where rounding leaves the sum below the number drawn
}

}  // namespace

void penalise_repetition(std::span<float> logits, std::span<const int32_t> seen, double penalty) {
  if (penalty == 1) return;
  for (const int32_t id : std::set<int32_t>(seen.begin(), seen.end())) {
    require(id >= 0 && id < static_cast<int64_t>(logits.size()),
            "sampling: ids seen must be in [0, ", logits.size(), "), got ", id);
    const double score = logits[id];
    logits[id] = static_cast<float>(score > 0 ? score / penalty : score * penalty);
  }
}

std::vector<double> filtered_probabilities(std::span<const float> logits,
                                           const SamplingOptions& options) {
  require(options.temperature > 0, "sampling: temperature must be above 0, got ",
          options.temperature);
  std::vector<float> scores(logits.begin(), logits.end());
  // From the largest, so that a small temperature cannot make two scores infinite.
  const double largest = *std::max_element(scores.begin(), scores.end());
  for (float& score : scores) score = static_cast<float>((score - largest) / options.temperature);
  keep_top_k(scores, options.top_k);
  keep_top_p(scores, options.top_p);
  return softmax(scores);
}

int32_t sample_token(std::span<float> logits, std::span<const int32_t> seen,
                     const SamplingOptions& options, uint64_t sequence, uint32_t step) {
  penalise_repetition(logits, seen, options.repetition_penalty);
  if (options.temperature == 0) {
    return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  }
  Random random(options.seed, RandomStream::kSampling, sequence, step);
  return draw(filtered_probabilities(logits, options), random.next_uniform());
}

}  // namespace radgpt
