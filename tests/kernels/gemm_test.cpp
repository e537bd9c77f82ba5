#include "kernels/gemm/gemm.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <vector>

#include "kernels/gemm/algorithm_file.h"
#include "tests/catch.h"
#include "tests/kernels/accuracy.h"
#include "tests/kernels/device_memory.h"
#include "tests/kernels/values.h"

using namespace radgpt;
using namespace radgpt::kernels;

namespace {

struct Shape {
  int64_t m, n, k;
  Transpose a = Transpose::kNo, b = Transpose::kNo;
};

int64_t rounded_up(int64_t n) { return (n + 7) / 8 * 8; }

/// Factors and a result with strides of their own, and NaN behind each row of the factors.
template <typename T, typename Out>
struct Problem {
  Shape shape;
  float alpha = 1.0f, beta = 0.0f;
  std::vector<T> a, b;
  std::vector<Out> d;

  explicit Problem(const Shape& s, float alpha_value = 1.0f, float beta_value = 0.0f)
      : shape(s),
        alpha(alpha_value),
        beta(beta_value),
        a(matrix(a_rows(), a_columns(), 41)),
        b(matrix(b_rows(), b_columns(), 42)),
        d(random_values<Out>(s.m * d_stride(), 1.0, 43)) {}

  int64_t a_rows() const { return shape.a == Transpose::kYes ? shape.k : shape.m; }
  int64_t a_columns() const { return shape.a == Transpose::kYes ? shape.m : shape.k; }
  int64_t b_rows() const { return shape.b == Transpose::kYes ? shape.n : shape.k; }
  int64_t b_columns() const { return shape.b == Transpose::kYes ? shape.k : shape.n; }
  int64_t a_stride() const { return rounded_up(a_columns()) + 8; }
  int64_t b_stride() const { return rounded_up(b_columns()) + 8; }
  int64_t d_stride() const { return rounded_up(shape.n) + 16; }

  Gemm<T, Out> call() {
    return {.m = shape.m,
            .n = shape.n,
            .k = shape.k,
            .a = {a.data(), a_stride(), shape.a},
            .b = {b.data(), b_stride(), shape.b},
            .d = d.data(),
            .d_stride = d_stride(),
            .alpha = alpha,
            .beta = beta};
  }
  template <typename S>
  S a_at(int64_t i, int64_t k) const {
    return shape.a == Transpose::kYes ? a[k * a_stride() + i] : a[i * a_stride() + k];
  }
  template <typename S>
  S b_at(int64_t k, int64_t j) const {
    return shape.b == Transpose::kYes ? b[j * b_stride() + k] : b[k * b_stride() + j];
  }

 private:
  static std::vector<T> matrix(int64_t rows, int64_t columns, uint32_t seed) {
    const int64_t stride = rounded_up(columns) + 8;
    std::vector<T> values = random_values<T>(rows * stride, 1.0, seed);
    for (int64_t i = 0; i < rows * stride; ++i) {
      if (i % stride >= columns) values[i] = T(std::numeric_limits<float>::quiet_NaN());
    }
    return values;
  }
};

/// All of d after the product, summed in S in the order of k and rounded to R.
template <typename S, typename R, typename T, typename Out>
std::vector<R> product(const Problem<T, Out>& problem) {
  std::vector<R> result;
  for (const Out value : problem.d) result.push_back(R(S(value)));
  for (int64_t i = 0; i < problem.shape.m; ++i) {
    for (int64_t j = 0; j < problem.shape.n; ++j) {
      S sum = 0;
      for (int64_t k = 0; k < problem.shape.k; ++k) {
        sum += problem.template a_at<S>(i, k) * problem.template b_at<S>(k, j);
      }
      const int64_t at = i * problem.d_stride() + j;
      S value = S(problem.alpha) * sum;
      if (problem.beta != 0) value += S(problem.beta) * S(problem.d[at]);
      result[at] = R(value);
    }
  }
  return result;
}

std::vector<Shape> shapes() {
  std::vector<Shape> result;
  for (const Shape& s :
       {Shape{1, 1, 1}, {1, 129, 7}, {3, 5, 257}, {127, 16, 300}, {130, 131, 64}, {257, 70, 33}}) {
    for (const Transpose a : {Transpose::kNo, Transpose::kYes}) {
      for (const Transpose b : {Transpose::kNo, Transpose::kYes}) {
        result.push_back({s.m, s.n, s.k, a, b});
      }
    }
  }
  return result;
}

template <typename T, typename Out>
void expect_right_on_the_cpu() {
  for (const Shape& shape : shapes()) {
    for (const auto& [alpha, beta] : {std::pair{1.0f, 0.0f}, {0.5f, 1.0f}, {-2.0f, 0.25f}}) {
      Problem<T, Out> problem(shape, alpha, beta), two = problem;
      const auto naive = product<Compute<T>, Out>(problem);
      const auto exact = product<double, double>(problem);
      gemm_cpu(problem.call(), OneWorker());
      expect_as_accurate_as(widened(naive), written_array(problem.d), exact);
      gemm_cpu(two.call(), ThreadWorkers(2));
      CHECK(widened(two.d) == widened(problem.d));
    }
  }
}

}  // namespace

TEST_CASE("Gemm: the CPU is as accurate as the plain formula") {
  expect_right_on_the_cpu<float, float>();
  expect_right_on_the_cpu<double, double>();
  expect_right_on_the_cpu<BFloat16, BFloat16>();
  expect_right_on_the_cpu<BFloat16, float>();
}

TEST_CASE("Gemm: bfloat16 is added in fp32 in the order of k and rounded once") {
  // Products of two bfloat16 are exact in fp32, so the order of additions says every bit.
  for (const Shape& shape : shapes()) {
    Problem<BFloat16, float> sums(shape);
    const std::vector<float> expected = product<float, float>(sums);
    gemm_cpu(sums.call(), OneWorker());
    CHECK(sums.d == expected);
    Problem<BFloat16, BFloat16> rounded(shape);
    const std::vector<BFloat16> once = product<float, BFloat16>(rounded);
    gemm_cpu(rounded.call(), OneWorker());
    CHECK(same_bits(rounded.d, once));
  }
}

TEST_CASE("Gemm: does not read a result that beta of zero discards") {
  Problem<BFloat16, float> problem({5, 9, 17});
  const std::vector<float> expected = product<float, float>(problem);
  const int64_t stride = problem.d_stride();
  for (int64_t i = 0; i < 5 * stride; ++i) {
    if (i % stride < 9) problem.d[i] = std::nanf("");
  }
  gemm_cpu(problem.call(), OneWorker());
  CHECK(problem.d == expected);
}

TEST_CASE("Gemm: values by hand, with nothing to add as well") {
  const std::vector<float> a = {1, 2, 3, 4}, b = {5, 6, 7, 8};
  std::vector<float> d = {1, 1, 1, 1};
  Gemm<float> call{.m = 2,
                   .n = 2,
                   .k = 2,
                   .a = {a.data(), 2},
                   .b = {b.data(), 2, Transpose::kYes},
                   .d = d.data(),
                   .d_stride = 2,
                   .alpha = 2.0f,
                   .beta = -1.0f};
  gemm_cpu(call, OneWorker());
  CHECK(d == std::vector<float>{33, 45, 77, 105});
  call.k = 0;
  gemm_cpu(call, OneWorker());
  CHECK(d == std::vector<float>{-33, -45, -77, -105});
}

namespace {

/// What a device makes of `problem`.
template <typename Out>
std::vector<Out> product_of_device(Problem<BFloat16, Out> problem) {
  static DeviceGemm device;
  DeviceVector<BFloat16> a(problem.a.begin(), problem.a.end());
  DeviceVector<BFloat16> b(problem.b.begin(), problem.b.end());
  DeviceVector<Out> d(problem.d.begin(), problem.d.end());
  Gemm<BFloat16, Out> call = problem.call();
  call.a.data = a.data();
  call.b.data = b.data();
  call.d = d.data();
  device.run(call, nullptr);
  synchronise();
  return {d.begin(), d.end()};
}

void expect_sums_in_fp32(const Problem<BFloat16, BFloat16>& problem,
                         const std::vector<BFloat16>& result) {
  expect_as_accurate_as(widened(product<float, BFloat16>(problem)), written_array(result),
                        product<double, double>(problem));
}

/// Tensor cores cut off where a processor rounds: the bound is that of any order of additions that
/// are right to 2^-22.
void expect_sums_in_fp32(Problem<BFloat16, float> problem, const std::vector<float>& result) {
  const std::vector<double> exact = product<double, double>(problem);
  for (BFloat16& value : problem.a) value = BFloat16(std::abs(value));
  for (BFloat16& value : problem.b) value = BFloat16(std::abs(value));
  for (float& value : problem.d) value = std::abs(value);
  const std::vector<double> magnitude = product<double, double>(problem);
  const double rounding = static_cast<double>(problem.shape.k + 2) * 0x1p-22;
  int64_t wrong = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    wrong += !(std::abs(result[i] - exact[i]) <= rounding * magnitude[i]);
  }
  CHECK(wrong == 0);
}

template <typename Out>
void expect_right_on_the_device() {
  for (const Shape& shape : shapes()) {
    for (const float beta : {0.0f, 0.5f}) {
      INFO(shape.m << " x " << shape.n << " x " << shape.k << ", beta " << beta);
      const Problem<BFloat16, Out> problem(shape, 2.0f, beta);
      const std::vector<Out> result = product_of_device(problem);
      expect_sums_in_fp32(problem, result);
      CHECK(widened(product_of_device(problem)) == widened(result));
    }
  }
}

}  // namespace

TEST_CASE("Gemm: a device is as accurate as the plain formula, and repeats its bits") {
  expect_right_on_the_device<BFloat16>();
  expect_right_on_the_device<float>();
}

TEST_CASE("Gemm: refuses what cuBLASLt cannot do") {
  DeviceGemm device;
  Problem<BFloat16, float> problem({20, 40, 24});
  const auto refuses = [&](const std::string& message, auto change) {
    Gemm<BFloat16, float> call = problem.call();
    change(call);
    CHECK_THROWS_WITH(device.run(call, nullptr), Catch::Matchers::ContainsSubstring(message));
  };
  refuses("k must be positive, got 20, 40 and 0", [](auto& call) { call.k = 0; });
  refuses("a must be aligned to 16 bytes", [](auto& call) { call.a.data += 4; });
  refuses("the stride of a must be a multiple of 16 bytes and at least 24 elements, got 28",
          [](auto& call) { call.a.stride = 28; });
  refuses("the stride of b must be a multiple of 16 bytes and at least 40 elements, got 32",
          [](auto& call) { call.b.stride = 32; });
  refuses("the stride of d", [](auto& call) { call.d_stride = 42; });
}

namespace {

/// A path in a folder that is gone at the end of the test.
class TemporaryFile {
 public:
  TemporaryFile() {
    std::string name = (std::filesystem::temp_directory_path() / "gemm-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    folder_ = name;
  }
  ~TemporaryFile() { std::filesystem::remove_all(folder_); }
  std::string path() const { return (folder_ / "algorithms").string(); }

 private:
  std::filesystem::path folder_;
};

constexpr GemmShape kShape{.m = 4096,
                           .n = 12288,
                           .k = 4112,
                           .a_stride = 4160,
                           .b_stride = 4160,
                           .d_stride = 12288,
                           .b_transposed = 1};
constexpr AlgorithmWords kWords = {1, 2, 0xFFFFFFFFFFFFFFFF, 0, 5, 6, 7, 0xABC};

}  // namespace

TEST_CASE("Algorithm file: remembers the algorithms of each device") {
  const TemporaryFile file;
  AlgorithmFile first(file.path(), "GPU One");
  CHECK(!first.find(kShape));
  first.add(kShape, {9});
  first.add(kShape, kWords);
  GemmShape other = kShape;
  other.output_bytes = 4;
  first.add(other, {3});

  const AlgorithmFile again(file.path(), "GPU One");
  CHECK(again.find(kShape) == kWords);
  CHECK(again.find(other) == AlgorithmWords{3});
  other.m = 1;
  CHECK(!again.find(other));
  CHECK(!AlgorithmFile(file.path(), "GPU Two").find(kShape));
  CHECK(!AlgorithmFile("", "GPU One").exists());
}

TEST_CASE("Algorithm file: passes over what it cannot read") {
  const TemporaryFile file;
  AlgorithmFile(file.path(), "GPU").add(kShape, kWords);
  std::string line;
  std::getline(std::ifstream(file.path()), line);
  const auto found = [&](const std::string& text) {
    std::ofstream(file.path()) << text;
    return AlgorithmFile(file.path(), "GPU").find(kShape).has_value();
  };
  CHECK(found(line + "\n"));
  CHECK(found("nonsense\nGPU\tnonsense\n\n" + line + "\n"));
  CHECK(!found(line));  // cut
  CHECK(!found(line + " 1\n"));
  CHECK(!found(line.substr(0, line.rfind(' ')) + "\n"));
  CHECK(!found(line + "g\n"));
}

TEST_CASE("Algorithm file: says where it cannot write") {
  AlgorithmFile file("/nowhere/algorithms", "GPU");
  CHECK_THROWS_WITH(file.add(kShape, kWords),
                    "gemm: cannot write the algorithm file /nowhere/algorithms");
}
