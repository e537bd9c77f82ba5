#include "libradgpt/eval/metrics/calibration.h"

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "libradgpt/base/error.h"
#include "tests/catch.h"

using namespace radgpt;

namespace {

using Rows = std::vector<std::vector<double>>;

/// Log probabilities of a model that is right as often as it says, multiplied by `sharpness`.
struct Sampled {
  Sampled(int examples, double sharpness) {
    std::mt19937 random(1);
    for (int i = 0; i < examples; ++i) {
      const double p = (random() % 1000 + 0.5) / 1000;
      rows.push_back({sharpness * std::log(1 - p), sharpness * std::log(p)});
      truths.push_back((random() % 1000 + 0.5) / 1000 < p ? 1 : 0);
    }
  }
  Rows rows;
  std::vector<int> truths;
};

}  // namespace

TEST_CASE("Calibration: label probabilities are a softmax at a temperature") {
  const auto p = label_probabilities(std::vector<double>{std::log(1.0), std::log(3.0)}, 1);
  CHECK(p[0] == Approx(0.25));
  const auto cold = label_probabilities(std::vector<double>{std::log(1.0), std::log(3.0)}, 0.5);
  CHECK(cold[1] == Approx(0.9));
  const auto hot = label_probabilities(std::vector<double>{std::log(1.0), std::log(3.0)}, 1e6);
  CHECK(hot[0] == Approx(0.5).epsilon(1e-5));
  const auto far = label_probabilities(std::vector<double>{-2000, -1000}, 1);  // no overflow
  CHECK(far[1] == 1);
}

TEST_CASE("Calibration: negative log-likelihood checked by hand") {
  const Rows rows = {{std::log(1.0), std::log(3.0)}, {0, 0}};
  const std::vector<int> truths = {1, 0};
  CHECK(negative_log_likelihood(rows, truths, 1) ==
        Approx((std::log(4.0 / 3) + std::log(2.0)) / 2));
  CHECK(negative_log_likelihood(rows, truths, 0.5) ==
        Approx((std::log(10.0 / 9) + std::log(2.0)) / 2));
  CHECK(negative_log_likelihood(Rows{{0, 5000}}, std::vector<int>{0}, 1) == Approx(5000));
}

TEST_CASE("Calibration: the fitted temperature undoes a known one") {
  for (const double sharpness : {0.5, 1.0, 3.0}) {
    const Sampled model(20000, sharpness);
    // A standard error of about 1 / sqrt(examples).
    CHECK(fit_temperature(model.rows, model.truths) == Approx(sharpness).epsilon(0.03));
  }
}

TEST_CASE("Calibration: no other temperature has less loss than the fitted one") {
  const Sampled model(500, 2.0);
  const double best = fit_temperature(model.rows, model.truths);
  const double loss = negative_log_likelihood(model.rows, model.truths, best);
  for (int i = -40; i <= 40; ++i) {
    CHECK(loss <= negative_log_likelihood(model.rows, model.truths, std::pow(10, i / 40.0)));
  }
}

TEST_CASE("Calibration: the temperature stays in its range where all or none are right") {
  const Rows rows = {{0, 1}, {0, 2}};
  CHECK(fit_temperature(rows, std::vector<int>{1, 1}) == 0.1);
  CHECK(fit_temperature(rows, std::vector<int>{0, 0}) == 10);
}

TEST_CASE("Calibration: expected error of perfectly calibrated bins is 0") {
  // Four examples at 3/4, three of them right; two at 1/2, one of them right.
  const Rows rows = {{0.75, 0.25}, {0.75, 0.25}, {0.75, 0.25},
                     {0.75, 0.25}, {0.5, 0.5},   {0.5, 0.5}};
  CHECK(expected_calibration_error(rows, std::vector<int>{0, 0, 0, 1, 0, 1}) ==
        Approx(0).margin(1e-15));
}

TEST_CASE("Calibration: expected error checked by hand, the last bin closed") {
  const Rows rows = {{1, 0}, {1, 0}, {0.6, 0.4}};
  // Bin of 1: accuracy 1/2, probability 1. Bin of 0.6: accuracy 1, probability 0.6.
  CHECK(expected_calibration_error(rows, std::vector<int>{0, 1, 0}) ==
        Approx(2.0 / 3 * 0.5 + 1.0 / 3 * 0.4));
}

TEST_CASE("Calibration: Brier's score is the squared error of two labels") {
  const Rows rows = {{0.3, 0.7}, {0.9, 0.1}};
  CHECK(brier_score(rows, std::vector<int>{1, 1}) == Approx((0.09 + 0.81) / 2));
  CHECK(brier_score(Rows{{0, 1, 0}}, std::vector<int>{0}) == 1);
  CHECK(brier_score(Rows{{0, 1, 0}}, std::vector<int>{1}) == 0);
}

TEST_CASE("Calibration: rows that do not fit are refused") {
  const std::vector<int> truths = {0, 1};
  CHECK_THROWS_AS(fit_temperature(Rows{}, {}), Error);
  CHECK_THROWS_AS(fit_temperature(Rows{{0, 1}}, truths), Error);
  CHECK_THROWS_AS(fit_temperature(Rows{{0, 1}, {0}}, truths), Error);
  CHECK_THROWS_AS(label_probabilities({}, 1), Error);
  CHECK_THROWS_AS(label_probabilities(std::vector<double>{-1}, 0), Error);
  CHECK_THROWS_AS(brier_score(Rows{{0, 1}, {0, 1}}, std::vector<int>{0, 2}), Error);
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK_THROWS_AS(fit_temperature(Rows{{0, -infinity}, {0, 1}}, truths), Error);
}
