#include "libradgpt/optim/learning_rate.h"

#include "tests/catch.h"

namespace radgpt {
namespace {

TEST_CASE("Learning rate: rises to the peak over the warm-up, never from 0") {
  const LearningRate rate(Schedule::kConstant, 1.0, 0.1, 40);
  CHECK(rate.at(0) == Approx(0.25));
  CHECK(rate.at(3) == Approx(1.0));
  CHECK(rate.at(39) == Approx(1.0));
}

TEST_CASE("Learning rate: linear and cosine meet at the middle and end near 0") {
  const LearningRate linear(Schedule::kLinear, 2.0, 0.0, 100);
  const LearningRate cosine(Schedule::kCosine, 2.0, 0.0, 100);
  CHECK(linear.at(0) == Approx(2.0));
  CHECK(cosine.at(0) == Approx(2.0));
  CHECK(linear.at(50) == Approx(1.0));
  CHECK(cosine.at(50) == Approx(1.0));
  CHECK(cosine.at(25) == Approx(1.0 + 0.70710678));
  CHECK(linear.at(99) == Approx(0.02));
  CHECK(cosine.at(100) == Approx(0.0).margin(1e-12));
}

TEST_CASE("Learning rate: a run of one step is all warm-up or none") {
  CHECK(LearningRate(Schedule::kCosine, 1.0, 0.03, 1).at(0) == Approx(1.0));
  CHECK(LearningRate(Schedule::kCosine, 1.0, 0.0, 1).at(0) == Approx(1.0));
}

}  // namespace
}  // namespace radgpt
