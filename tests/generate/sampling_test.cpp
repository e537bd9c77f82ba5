#include "libradgpt/generate/sampling.h"

#include <cmath>

#include "libradgpt/base/error.h"
#include "tests/catch.h"

namespace radgpt {

namespace {

// Logits whose softmax is 0.5, 0.2, 0.2, 0.1.
std::vector<float> known_logits() {
  std::vector<float> logits;
  for (const double probability : {0.5, 0.2, 0.2, 0.1}) {
    logits.push_back(static_cast<float>(std::log(probability)));
  }
  return logits;
}

void check_probabilities(const SamplingOptions& options, const std::vector<double>& expected) {
  const std::vector<double> got = filtered_probabilities(known_logits(), options);
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); ++i) CHECK(got[i] == Approx(expected[i]).margin(1e-7));
}

}  // namespace

TEST_CASE("Sampling: without filters it is the softmax") {
  check_probabilities({.temperature = 1}, {0.5, 0.2, 0.2, 0.1});
}

TEST_CASE("Sampling: a temperature of one half squares the odds") {
  check_probabilities({.temperature = 0.5}, {25 / 34., 4 / 34., 4 / 34., 1 / 34.});
}

TEST_CASE("Sampling: the coldest temperature takes the likeliest") {
  check_probabilities({.temperature = 1e-40}, {1, 0, 0, 0});
  CHECK(filtered_probabilities(std::vector<float>{1, 3}, {.temperature = 1e-40}) ==
        std::vector<double>{0, 1});
}

TEST_CASE("Sampling: top-k keeps ties of the k-th") {
  check_probabilities({.temperature = 1, .top_k = 1}, {1, 0, 0, 0});
  check_probabilities({.temperature = 1, .top_k = 2}, {5 / 9., 2 / 9., 2 / 9., 0});
  check_probabilities({.temperature = 1, .top_k = 9}, {0.5, 0.2, 0.2, 0.1});
}

TEST_CASE("Sampling: top-p drops from below while the sum is at most 1 - p") {
  // From below: 0.1, then 0.3, 0.5, 1.
  check_probabilities({.temperature = 1, .top_p = 0.95}, {0.5, 0.2, 0.2, 0.1});
  check_probabilities({.temperature = 1, .top_p = 0.85}, {5 / 9., 2 / 9., 2 / 9., 0});
  check_probabilities({.temperature = 1, .top_p = 0.65}, {5 / 7., 2 / 7., 0, 0});
  check_probabilities({.temperature = 1, .top_p = 1e-9}, {1, 0, 0, 0});
}

TEST_CASE("Sampling: a sum of exactly 1 - p is dropped too, larger ids first among equals") {
  const std::vector<float> equal(4);
  CHECK(filtered_probabilities(equal, {.temperature = 1, .top_p = 0.5}) ==
        std::vector<double>{0.5, 0.5, 0, 0});
}

TEST_CASE("Sampling: top-p comes after temperature and top-k") {
  // top-k leaves 5/9, 2/9, 2/9; the last falls because 2/9 <= 1 - 0.75, the next stays.
  check_probabilities({.temperature = 1, .top_k = 2, .top_p = 0.75}, {5 / 7., 2 / 7., 0, 0});
  // At temperature 1/2 the three below the best hold 9/34 = 0.26 together.
  check_probabilities({.temperature = 0.5, .top_p = 0.7}, {1, 0, 0, 0});
}

TEST_CASE("Sampling: the penalty meets each id seen once, whatever its sign") {
  std::vector<float> logits = {3, -3, 1, 0};
  const std::vector<int32_t> seen = {1, 0, 1, 1, 0};
  penalise_repetition(logits, seen, 1.5);
  CHECK(logits == std::vector<float>{2, -4.5, 1, 0});
  CHECK_THROWS_AS(penalise_repetition(logits, std::vector<int32_t>{4}, 1.5), Error);
}

TEST_CASE("Sampling: greedy takes the best after the penalty, the first of equals") {
  std::vector<float> logits = {1, 3, 3, 2.5};
  CHECK(sample_token(logits, {}, {}, 0, 0) == 1);
  const std::vector<int32_t> seen = {1, 2};
  CHECK(sample_token(logits, seen, {.repetition_penalty = 2}, 0, 0) == 3);
}

TEST_CASE("Sampling: draws follow the probabilities and depend on their place alone") {
  const SamplingOptions options = {.temperature = 1, .seed = 5};
  constexpr int kDraws = 4000;
  std::vector<int> counts(4);
  for (int step = 0; step < kDraws; ++step) {
    std::vector<float> logits = known_logits();
    const int32_t id = sample_token(logits, {}, options, 7, step);
    std::vector<float> again = known_logits();
    REQUIRE(sample_token(again, {}, options, 7, step) == id);
    ++counts[id];
  }
  const std::vector<double> expected = {0.5, 0.2, 0.2, 0.1};
  for (int id = 0; id < 4; ++id) {
    const double deviation = std::sqrt(expected[id] * (1 - expected[id]) / kDraws);
    CHECK(std::abs(counts[id] / double{kDraws} - expected[id]) < 4 * deviation);
  }
}

TEST_CASE("Sampling: other sequences, steps and seeds draw other numbers") {
  const auto draws = [](uint64_t seed, uint64_t sequence) {
    std::vector<int32_t> ids;
    for (uint32_t step = 0; step < 30; ++step) {
      std::vector<float> logits = known_logits();
      ids.push_back(sample_token(logits, {}, {.temperature = 1, .seed = seed}, sequence, step));
    }
    return ids;
  };
  CHECK(draws(1, 1) == draws(1, 1));
  CHECK(draws(1, 1) != draws(1, 2));
  CHECK(draws(1, 1) != draws(2, 1));
}

}  // namespace radgpt
