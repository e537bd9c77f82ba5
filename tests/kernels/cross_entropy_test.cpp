#include "kernels/cross_entropy/cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "tests/catch.h"
#include "tests/kernels/accuracy.h"
#include "tests/kernels/device_memory.h"
#include "tests/kernels/values.h"

using namespace radgpt;
using namespace radgpt::kernels;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// What a call reads; what it writes is another such thing.
template <typename T>
struct Problem {
  int64_t rows, vocabulary, stride;
  std::vector<T> logits;
  std::vector<int64_t> targets;
  std::vector<Compute<T>> factors;
  std::vector<Compute<T>> log_probabilities;

  Problem(int64_t row_count, int64_t size, double spread = 8.0)
      : rows(row_count),
        vocabulary(size),
        stride((size + 7) / 8 * 8 + 8),
        logits(random_values<T>(rows * stride, spread, 3)),
        factors(random_values<Compute<T>>(rows, 0.1, 4)),
        log_probabilities(rows, Compute<T>(-kInfinity)) {
    for (int64_t row = 0; row < rows; ++row) targets.push_back((row * 7919 + size - 1) % size);
  }
  CrossEntropy<T> call() {
    return {.rows = rows,
            .vocabulary = vocabulary,
            .logits = logits.data(),
            .stride = stride,
            .targets = targets.data(),
            .factors = factors.data(),
            .log_probabilities = log_probabilities.data()};
  }
  /// Logits, or what stands in their place, without what lies behind the rows.
  std::vector<double> matrix() const {
    std::vector<double> values;
    for (int64_t row = 0; row < rows; ++row) {
      const auto begin = logits.begin() + row * stride;
      values.insert(values.end(), begin, begin + vocabulary);
    }
    return values;
  }
};

struct Result {
  std::vector<double> log_probabilities, gradient;
};

/// The formula in S; the gradient is rounded to R.
template <typename S, typename R, typename T>
Result formula(const Problem<T>& problem) {
  Result result;
  for (int64_t row = 0; row < problem.rows; ++row) {
    const T* logits = problem.logits.data() + row * problem.stride;
    S largest = logits[0];
    for (int64_t i = 1; i < problem.vocabulary; ++i) largest = std::max<S>(largest, logits[i]);
    S sum = 0;
    for (int64_t i = 0; i < problem.vocabulary; ++i) sum += std::exp(S(logits[i]) - largest);
    const int64_t target = problem.targets[row];
    result.log_probabilities.push_back(S(logits[target]) - largest - std::log(sum));
    for (int64_t i = 0; i < problem.vocabulary; ++i) {
      const S probability = std::exp(S(logits[i]) - largest) / sum;
      const S gradient = S(problem.factors[row]) * (probability - (i == target ? 1 : 0));
      result.gradient.push_back(static_cast<double>(R(gradient)));
    }
  }
  return result;
}

Problem<BFloat16> on_device(const Problem<BFloat16>& problem, uint64_t order) {
  const DeviceOrder lanes(order);
  DeviceMemory memory;
  Problem<BFloat16> result = problem;
  CrossEntropy<BFloat16> call = result.call();
  call.logits = memory.in_place("logits", problem.logits);
  call.targets = memory.input("targets", problem.targets);
  call.factors = memory.input("factors", problem.factors);
  call.log_probabilities = memory.output<float>("log_probabilities", problem.rows);
  cross_entropy_cuda(call, nullptr);
  CHECK(memory.every_byte_written("log_probabilities"));
  result.logits = memory.values<BFloat16>("logits");
  result.log_probabilities = memory.values<float>("log_probabilities");
  return result;
}

template <typename T>
void expect_right(const Problem<T>& problem, const Problem<T>& result) {
  const Result exact = formula<double, double>(problem), naive = formula<Compute<T>, T>(problem);
  expect_as_accurate_as(naive.log_probabilities, written_array(result.log_probabilities),
                        exact.log_probabilities);
  expect_as_accurate_as(naive.gradient, {result.matrix(), rounding_of<T>()}, exact.gradient);
  for (int64_t row = 0; row < problem.rows; ++row) {
    for (int64_t i = problem.vocabulary; i < problem.stride; ++i) {
      const int64_t at = row * problem.stride + i;
      if (result.logits[at] != problem.logits[at]) FAIL("wrote behind row " << row);
    }
  }
}

struct Size {
  int64_t rows, vocabulary;
};

void expect_right_kernel(const Size& size) {
  INFO(size.vocabulary);
  const Problem<BFloat16> problem(size.rows, size.vocabulary);
  const Problem<BFloat16> result = on_device(problem, 1);
  expect_right(problem, result);
  const Problem<BFloat16> again = on_device(problem, 2);
  CHECK(same_bits(again.logits, result.logits));
  CHECK(again.log_probabilities == result.log_probabilities);
}

}  // namespace

TEST_CASE("Cross-entropy: the kernel is as accurate as the plain formula") {
  for (const Size size : {Size{1, 1},
                          {3, 2},
                          {2, 7},
                          {3, 8},
                          {1, 9},
                          {2, 8191},
                          {2, 8192},
                          {3, 10007},
                          {1, 125696}}) {
    expect_right_kernel(size);
  }
}

TEST_CASE("Cross-entropy: several blocks", "[small]") { expect_right_kernel({3, 1000}); }

TEMPLATE_TEST_CASE("Cross-entropy: the CPU is as accurate as the plain formula", "", float, double,
                   BFloat16) {
  for (const int64_t vocabulary : {1, 2, 15, 16, 17, 1000, 10007}) {
    INFO(vocabulary);
    const Problem<TestType> problem(5, vocabulary);
    Problem<TestType> one = problem, two = problem;
    cross_entropy_cpu(one.call(), OneWorker());
    cross_entropy_cpu(two.call(), ThreadWorkers(2));
    expect_right(problem, one);
    CHECK(one.matrix() == two.matrix());
    CHECK(one.log_probabilities == two.log_probabilities);
  }
}

TEST_CASE("Cross-entropy: values by hand", "[small]") {
  Problem<BFloat16> problem(1, 4);
  problem.targets = {2};
  problem.factors = {8.0f};
  for (int i = 0; i < 4; ++i) problem.logits[i] = BFloat16(-3.0f);
  const Problem<BFloat16> result = on_device(problem, 1);
  CHECK(result.log_probabilities[0] == Approx(-std::log(4.0)).epsilon(1e-6));
  CHECK(result.matrix() == std::vector<double>{2, 2, -6, 2});
}

TEST_CASE("Cross-entropy: large logits neither overflow nor vanish") {
  const auto with = [](std::vector<float> values) {
    Problem<BFloat16> problem(1, static_cast<int64_t>(values.size()));
    for (size_t i = 0; i < values.size(); ++i) problem.logits[i] = BFloat16(values[i]);
    problem.targets = {0};
    problem.factors = {1.0f};
    return on_device(problem, 1);
  };
  CHECK(with({1e30f, 1e30f}).matrix() == std::vector<double>{-0.5, 0.5});
  CHECK(with({-1e30f, -1e30f}).matrix() == std::vector<double>{-0.5, 0.5});
  CHECK(with({3e38f, -3e38f}).matrix() == std::vector<double>{0, 0});
  CHECK(with({-3e38f, 0.0f}).matrix() == std::vector<double>{-1, 1});
  // Forbidden tokens; the first thread of the block sees nothing else.
  std::vector<float> forbidden(9, -kInfinity);
  forbidden[8] = 2.0f;
  CHECK(with(forbidden).matrix()[8] == 1.0);
  CHECK(with(forbidden).log_probabilities[0] == -kInfinity);
  CHECK(std::isnan(with({0.0f, std::nanf(""), 1.0f}).log_probabilities[0]));
}

TEST_CASE("Cross-entropy: without factors only probabilities are written", "[small]") {
  Problem<BFloat16> problem(3, 1003);
  const Problem<BFloat16> with = on_device(problem, 1);
  DeviceMemory memory;
  CrossEntropy<BFloat16> call = problem.call();
  call.logits = const_cast<BFloat16*>(memory.input("logits", problem.logits));
  call.targets = memory.input("targets", problem.targets);
  call.factors = nullptr;
  call.log_probabilities = memory.output<float>("log_probabilities", problem.rows);
  cross_entropy_cuda(call, nullptr);
  CHECK(memory.values<float>("log_probabilities") == with.log_probabilities);

  Problem<BFloat16> cpu = problem;
  call = cpu.call();
  call.factors = nullptr;
  cross_entropy_cpu(call, OneWorker());
  CHECK(same_bits(cpu.logits, problem.logits));
}

#ifndef RADGPT_TEST_ON_GPU  // which counts no bytes
TEST_CASE("Cross-entropy: reads logits twice and writes them once") {
  const int64_t rows = 2, vocabulary = 4001;
  Problem<BFloat16> problem(rows, vocabulary);
  DeviceMemory memory;
  CrossEntropy<BFloat16> call = problem.call();
  call.logits = memory.in_place("logits", problem.logits);
  call.targets = memory.input("targets", problem.targets);
  call.factors = memory.input("factors", problem.factors);
  call.log_probabilities = memory.output<float>("log_probabilities", rows);
  cross_entropy_cuda(call, nullptr);
  const int64_t once = rows * vocabulary * 2, targets = rows * 2;
  CHECK(memory.traffic("logits").requested == simt::Bytes{2 * once + targets, once});
}
#endif

TEST_CASE("Cross-entropy: refuses what the kernel cannot do") {
  Problem<BFloat16> problem(2, 9);
  const auto refuses = [&](const std::string& message, auto change) {
    CrossEntropy<BFloat16> call = problem.call();
    change(call);
    CHECK_THROWS_WITH(cross_entropy_cuda(call, nullptr),
                      Catch::Matchers::ContainsSubstring(message));
  };
  refuses("stride must be a multiple of 8 on a GPU, got 9", [](auto& call) { call.stride = 9; });
  refuses("stride must be at least 9, got 8", [](auto& call) { call.stride = 8; });
  refuses("vocabulary positive, got 2 and 0", [](auto& call) { call.vocabulary = 0; });
  refuses("logits must be aligned to 16 bytes", [](auto& call) { ++call.logits; });
}
