#include "libradgpt/generate/label_scoring.h"

#include <torch/types.h>

#include "libradgpt/base/error.h"
#include "tests/catch.h"
#include "tests/generate/small_generator.h"

namespace radgpt {

namespace {

const std::vector<LabelQuery> kQueries = {
    {{195, 17, 42, 105, 196}, {{31}, {32}}},
    {{195, 17, 196}, {{31, 40, 5}, {31}, {77, 78}}},
};

// The product of the softmax probabilities of plain forward passes, token by token.
double reference_score(const ReferenceModel& model, const std::vector<int32_t>& prompt,
                       std::vector<int32_t> label) {
  std::vector<int64_t> ids(prompt.begin(), prompt.end());
  label.push_back(2);
  double sum = 0;
  for (const int32_t id : label) {
    sum += model.next_log_probabilities(ids)[id].item<double>();
    ids.push_back(id);
  }
  return sum;
}

}  // namespace

TEST_CASE("Label scoring: the probability of a label is that of its tokens and the end") {
  const SmallGenerator small(GENERATE(PositionKind::kRope, PositionKind::kAlibi));
  const int64_t pack_tokens = GENERATE(1, 4096);
  const auto scores = score_labels(*small.model, kQueries, pack_tokens);
  REQUIRE(scores.size() == 2);
  for (size_t q = 0; q < kQueries.size(); ++q) {
    REQUIRE(scores[q].size() == kQueries[q].labels.size());
    for (size_t l = 0; l < kQueries[q].labels.size(); ++l) {
      const double expected =
          reference_score(small.reference, kQueries[q].prompt, kQueries[q].labels[l]);
      CHECK(scores[q][l] == Approx(expected).epsilon(test_tolerance()));
    }
  }
}

TEST_CASE("Label scoring: refuses what has no probability") {
  const SmallGenerator small(PositionKind::kRope);
  CHECK_THROWS_AS(score_labels(*small.model, {{{}, {{3}}}}), Error);
  CHECK_THROWS_AS(score_labels(*small.model, {{{195}, {}}}), Error);
  CHECK_THROWS_AS(score_labels(*small.model, {{{195}, {{}}}}), Error);
  CHECK(score_labels(*small.model, {}).empty());
}

}  // namespace radgpt
