#include "libradgpt/data/split.h"

#include <array>
#include <cmath>
#include <string>

#include "libradgpt/base/error.h"
#include "tests/catch.h"

using namespace radgpt;

TEST_CASE("Split: the place of a patient is the head of SHA-256 of salt and patient") {
  // printf '6:radgptP1' | sha256sum: 778a… = 0.467 of 2^64; P3: f958… = 0.974.
  const SplitOptions quarters{"radgpt", 0.25, 0.25};
  CHECK(split_of("P1", quarters) == Split::kValidation);
  CHECK(split_of("P3", quarters) == Split::kTrain);
  CHECK(split_of("P1", {"radgpt", 0.25, 0.46}) == Split::kValidation);
  CHECK(split_of("P1", {"radgpt", 0.25, 0.47}) == Split::kTest);
}

TEST_CASE("Split: shares of many patients are those asked for") {
  const SplitOptions options{"salt", 0.1, 0.2};
  std::array<int, kSplits> count{};
  constexpr int kPatients = 20000;
  for (int i = 0; i < kPatients; ++i) {
    ++count[static_cast<size_t>(split_of("patient" + std::to_string(i), options))];
  }
  // Five deviations of a binomial are below 2.1 %.
  CHECK(std::abs(count[1] - kPatients * 0.1) < 5 * std::sqrt(kPatients * 0.1 * 0.9));
  CHECK(std::abs(count[2] - kPatients * 0.2) < 5 * std::sqrt(kPatients * 0.2 * 0.8));
}

TEST_CASE("Split: another salt is another split, and salt and patient do not run together") {
  int moved = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::string patient = std::to_string(i);
    moved += split_of(patient, {"a", 0.25, 0.25}) != split_of(patient, {"b", 0.25, 0.25});
  }
  CHECK(moved > 500);  // independent splits agree on 0.5² + 2·0.25² = 37.5 %
  int differs = 0;
  for (int i = 0; i < 200; ++i) {
    const std::string tail = std::to_string(i);
    differs += split_of("1" + tail, {"x", 0.25, 0.25}) != split_of(tail, {"x1", 0.25, 0.25});
  }
  CHECK(differs > 60);
}

TEST_CASE("Split: widening the held-out share never moves a patient back to training") {
  for (int i = 0; i < 2000; ++i) {
    const std::string patient = std::to_string(i);
    const Split narrow = split_of(patient, {"s", 0, 0.1});
    if (narrow == Split::kTest) CHECK(split_of(patient, {"s", 0, 0.2}) == Split::kTest);
  }
}

TEST_CASE("Split: shares of nothing and everything") {
  for (int i = 0; i < 100; ++i) {
    const std::string patient = std::to_string(i);
    CHECK(split_of(patient, {"s", 0, 0}) == Split::kTrain);
    CHECK(split_of(patient, {"s", 0, 1}) == Split::kTest);
    CHECK(split_of(patient, {"s", 1, 0}) == Split::kValidation);
  }
}

TEST_CASE("Split: refuses shares outside [0, 1]") {
  CHECK_THROWS_AS(split_of("p", {"s", -0.1, 0.5}), Error);
  CHECK_THROWS_AS(split_of("p", {"s", 0.6, 0.5}), Error);
  CHECK_THROWS_WITH(split_of("p", {"s", 0.6, 0.5}),
                    "split: validation and test must be at least 0 and together at most 1, got "
                    "0.6 and 0.5");
}

TEST_CASE("Split: names") {
  CHECK(split_name(Split::kTrain) == "train");
  CHECK(split_name(Split::kValidation) == "validation");
  CHECK(split_name(Split::kTest) == "test");
}
