#include "libradgpt/eval/metrics/classification_metrics.h"

#include <random>
#include <vector>

#include "libradgpt/base/error.h"
#include "tests/catch.h"

using namespace radgpt;

namespace {

constexpr int kInvalid = kInvalidAnswer;

/// By the definition: all pairs of an example of the class and one of another.
double brute_force_area(const std::vector<double>& scores, const std::vector<int>& truths) {
  double wins = 0, pairs = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    for (size_t j = 0; j < scores.size(); ++j) {
      if (truths[i] != 1 || truths[j] == 1) continue;
      pairs += 1;
      wins += scores[i] > scores[j] ? 1 : scores[i] == scores[j] ? 0.5 : 0;
    }
  }
  return wins / pairs;
}

}  // namespace

TEST_CASE("Classification metrics: values checked by hand") {
  //           answers 0  1  2  invalid
  // truth 0           3  1  0  0
  // truth 1           1  1  0  0
  // truth 2           0  0  1  1
  const ConfusionMatrix confusion(3, std::vector<int>{0, 0, 0, 0, 1, 1, 2, 2},
                                  std::vector<int>{0, 0, 0, 1, 1, 0, 2, kInvalid});
  const ClassificationScores scores = score_classification(confusion);
  CHECK(confusion.count(2, kInvalid) == 1);
  CHECK(scores.accuracy == Approx(5.0 / 8));
  CHECK(scores.invalid_rate == Approx(1.0 / 8));
  CHECK(scores.per_class[0].precision == Approx(3.0 / 4));
  CHECK(scores.per_class[0].recall == Approx(3.0 / 4));
  CHECK(scores.per_class[1].f1 == Approx(0.5));
  CHECK(scores.per_class[2].precision == Approx(1));  // an invalid answer is no false alarm
  CHECK(scores.per_class[2].recall == Approx(0.5));   // but a miss
  CHECK(scores.per_class[2].f1 == Approx(2.0 / 3));
  CHECK(scores.macro.f1 == Approx((0.75 + 0.5 + 2.0 / 3) / 3));
  CHECK(scores.micro.precision == Approx(5.0 / 7));
  CHECK(scores.micro.recall == Approx(5.0 / 8));
  CHECK(scores.micro.f1 == Approx(10.0 / 15));
  CHECK(scores.weighted.f1 == Approx((4 * 0.75 + 2 * 0.5 + 2 * 2.0 / 3) / 8));
}

TEST_CASE("Classification metrics: micro is the accuracy if every answer is a class") {
  const ConfusionMatrix confusion(2, std::vector<int>{0, 0, 1}, std::vector<int>{0, 1, 1});
  const ClassificationScores scores = score_classification(confusion);
  CHECK(scores.micro.f1 == Approx(scores.accuracy));
  CHECK(scores.micro.precision == Approx(scores.accuracy));
}

TEST_CASE("Classification metrics: a quotient of nothing by nothing is 0") {
  const ConfusionMatrix all_wrong(2, std::vector<int>{0, 0}, std::vector<int>{1, 1});
  const ClassificationScores scores = score_classification(all_wrong);
  CHECK(scores.per_class[0].precision == 0);
  CHECK(scores.per_class[0].f1 == 0);
  CHECK(scores.per_class[1].recall == 0);
  CHECK(score_classification(ConfusionMatrix(2)).accuracy == 0);
  CHECK(score_classification(ConfusionMatrix(2)).macro.f1 == 0);
}

TEST_CASE("Classification metrics: macro leaves out classes that do not occur") {
  const ConfusionMatrix confusion(5, std::vector<int>{0, 1}, std::vector<int>{0, 1});
  CHECK(score_classification(confusion).macro.f1 == 1);
  const ConfusionMatrix answered(5, std::vector<int>{0, 1}, std::vector<int>{0, 4});
  CHECK(score_classification(answered).macro.f1 == Approx(1.0 / 3));
}

TEST_CASE("Classification metrics: sensitivity and specificity of one class") {
  const ConfusionMatrix confusion(2, std::vector<int>{1, 1, 1, 1, 0, 0},
                                  std::vector<int>{1, 1, 0, kInvalid, 0, kInvalid});
  CHECK(score_binary(confusion, 1).sensitivity == Approx(0.5));
  CHECK(score_binary(confusion, 1).specificity == Approx(0.5));
  CHECK(score_binary(confusion, 0).sensitivity == Approx(0.5));
  CHECK(score_binary(confusion, 0).specificity == Approx(0.5));
}

TEST_CASE("Classification metrics: numbers out of range are refused") {
  ConfusionMatrix confusion(2);
  CHECK_THROWS_AS(confusion.add(2, 0), Error);
  CHECK_THROWS_AS(confusion.add(kInvalid, 0), Error);
  CHECK_THROWS_AS(confusion.add(0, -2), Error);
  CHECK_THROWS_AS(ConfusionMatrix(0), Error);
  CHECK_THROWS_AS(ConfusionMatrix(2, std::vector<int>{0}, std::vector<int>{}), Error);
}

TEST_CASE("Area under curve: equals the share of pairs in order, with ties") {
  std::mt19937 random(1);
  for (int round = 0; round < 50; ++round) {
    std::vector<double> scores, reversed;
    std::vector<int> truths = {0, 1};
    for (int i = 0; i < 40; ++i) {
      if (i >= 2) truths.push_back(static_cast<int>(random() % 2));
      scores.push_back(static_cast<double>(random() % 10));
      reversed.push_back(-scores.back());
    }
    const double area = area_under_curve(scores, truths, 1).value();
    CHECK(area == Approx(brute_force_area(scores, truths)));
    CHECK(area_under_curve(reversed, truths, 1).value() == Approx(1 - area));
    CHECK(area_under_curve(scores, truths, 0).value() == Approx(1 - area));
  }
}

TEST_CASE("Area under curve: there is none of a single class") {
  CHECK_FALSE(area_under_curve(std::vector<double>{1, 2}, std::vector<int>{1, 1}, 1).has_value());
  CHECK_FALSE(area_under_curve({}, {}, 1).has_value());
  CHECK_THROWS_AS(area_under_curve(std::vector<double>{std::nan("")}, std::vector<int>{1}, 1),
                  Error);
}

TEST_CASE("Area under curve: the mean over classes is the usual area of two") {
  const std::vector<std::vector<double>> two = {{0.9, 0.1}, {0.4, 0.6}, {0.7, 0.3}, {0.2, 0.8}};
  const std::vector<int> truths = {0, 0, 1, 1};
  CHECK(mean_area_under_curve(two, truths).value() == Approx(0.75));
  // Class 2 has no example: the mean is over the other two.
  const std::vector<std::vector<double>> three = {{0.9, 0.1, 0}, {0.1, 0.9, 0}};
  CHECK(mean_area_under_curve(three, std::vector<int>{0, 1}).value() == 1);
}
