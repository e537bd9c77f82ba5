#include "libradgpt/eval/metrics/bootstrap.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "libradgpt/base/error.h"
#include "tests/catch.h"

using namespace radgpt;

namespace {

/// `patients` patients of `each` examples.
std::vector<std::string> patients_of(int patients, int each) {
  std::vector<std::string> names;
  for (int i = 0; i < patients * each; ++i) names.push_back("p" + std::to_string(i / each));
  return names;
}

/// Every other patient has a value of 1.
std::vector<double> alternating(int patients, int each) {
  std::vector<double> values;
  for (int i = 0; i < patients * each; ++i) values.push_back(i / each % 2);
  return values;
}

}  // namespace

TEST_CASE("Bootstrap: the interval holds the value and follows the binomial") {
  const PatientBootstrap bootstrap(patients_of(400, 1), 7, 2000);
  const Interval interval = bootstrap.mean(alternating(400, 1));
  CHECK(interval.value == 0.5);
  // 1.96 sqrt(1/4 / 400) = 0.049; percentiles of 2000 resamples are within a tenth of that.
  CHECK(interval.low == Approx(0.451).margin(0.005));
  CHECK(interval.high == Approx(0.549).margin(0.005));
}

TEST_CASE("Bootstrap: examples of one patient are no independent evidence") {
  const Interval alone = PatientBootstrap(patients_of(400, 1), 7).mean(alternating(400, 1));
  const Interval grouped = PatientBootstrap(patients_of(100, 4), 7).mean(alternating(100, 4));
  // Four examples a patient that agree: twice the width.
  CHECK((grouped.high - grouped.low) / (alone.high - alone.low) == Approx(2).epsilon(0.1));
}

TEST_CASE("Bootstrap: a resample draws whole patients, as many as there are") {
  const PatientBootstrap bootstrap(std::vector<std::string>{"a", "b", "a"}, 1, 200);
  const auto check_draw = [](std::span<const int> examples) {
    int of_a = 0, of_b = 0;
    for (const int example : examples) ++(example == 1 ? of_b : of_a);
    CHECK(of_a / 2 + of_b == 2);
    CHECK(of_a % 2 == 0);
    return 0.0;
  };
  bootstrap.interval(check_draw);
}

TEST_CASE("Bootstrap: the same seed gives the same interval, another seed another") {
  const auto patients = patients_of(50, 2);
  std::vector<double> values;
  for (int i = 0; i < 100; ++i) values.push_back(std::sin(i));
  const Interval one = PatientBootstrap(patients, 1).mean(values);
  CHECK(PatientBootstrap(patients, 1).mean(values).low == one.low);
  CHECK(PatientBootstrap(patients, 1).mean(values).high == one.high);
  const Interval other = PatientBootstrap(patients, 2).mean(values);
  CHECK(other.low != one.low);
}

TEST_CASE("Bootstrap: accuracy and macro F1 of all examples lie in their intervals") {
  std::vector<int> truths, answers;
  for (int i = 0; i < 200; ++i) {
    truths.push_back(i % 3);
    answers.push_back(i % 7 == 0 ? -1 : i % 5 == 0 ? 0 : i % 3);
  }
  const PatientBootstrap bootstrap(patients_of(100, 2), 3);
  for (const Interval& interval :
       {bootstrap.accuracy(truths, answers), bootstrap.macro_f1(3, truths, answers)}) {
    CHECK(interval.low < interval.value);
    CHECK(interval.value < interval.high);
  }
  const Interval perfect = bootstrap.macro_f1(3, truths, truths);
  CHECK(perfect.low == 1);
  CHECK(perfect.high == 1);
}

TEST_CASE("Bootstrap: percentiles are interpolated, resamples without a value left out") {
  // Resamples of one patient: the statistic sees them all alike; here it counts calls instead.
  const PatientBootstrap bootstrap(std::vector<std::string>{"a"}, 1, 21);
  double calls = 0;
  const Interval interval = bootstrap.interval([&](std::span<const int>) { return calls++; });
  CHECK(interval.low == Approx(0.5));  // of 0 … 20
  CHECK(interval.high == Approx(19.5));
  CHECK(interval.value == 21);
  const double nothing = std::numeric_limits<double>::quiet_NaN();
  CHECK(std::isnan(bootstrap.interval([&](std::span<const int>) { return nothing; }).low));
}

TEST_CASE("Bootstrap: sizes that do not fit are refused") {
  CHECK_THROWS_AS(PatientBootstrap({}, 1), Error);
  CHECK_THROWS_AS(PatientBootstrap(patients_of(2, 1), 1, 0), Error);
  CHECK_THROWS_AS(PatientBootstrap(patients_of(2, 1), 1).mean(std::vector<double>{1}), Error);
}
