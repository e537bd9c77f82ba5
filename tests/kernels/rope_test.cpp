#include "kernels/rope/rope.h"

#include <cmath>
#include <vector>

#include "tests/catch.h"
#include "tests/kernels/accuracy.h"
#include "tests/kernels/device_memory.h"
#include "tests/kernels/values.h"

using namespace radgpt;
using namespace radgpt::kernels;

namespace {

struct Shape {
  int64_t tokens, heads, head_dim, padding;

  int64_t stride() const { return 3 * heads * head_dim + padding; }
};

constexpr int64_t kPositions = 50;

template <typename T>
struct Problem {
  Shape shape;
  RopeDirection direction = RopeDirection::kForward;
  std::vector<T> qkv;
  std::vector<int64_t> positions;
  std::vector<float> cosines, sines;

  explicit Problem(const Shape& s, RopeDirection d = RopeDirection::kForward)
      : shape(s), direction(d), qkv(random_values<T>(s.tokens * s.stride(), 3.0, 1)) {
    for (int64_t token = 0; token < s.tokens; ++token) {
      positions.push_back((7 * token + 3) % kPositions);
    }
    for (int64_t position = 0; position < kPositions; ++position) {
      for (int64_t i = 0; i < s.head_dim / 2; ++i) {
        const double angle = position * std::pow(10000.0, -2.0 * i / s.head_dim);
        cosines.push_back(static_cast<float>(std::cos(angle)));
        sines.push_back(static_cast<float>(std::sin(angle)));
      }
    }
  }
  Rope<T> call() {
    return {.tokens = shape.tokens,
            .heads = shape.heads,
            .head_dim = shape.head_dim,
            .qkv = qkv.data(),
            .stride = shape.stride(),
            .positions = positions.data(),
            .cosines = cosines.data(),
            .sines = sines.data(),
            .direction = direction};
  }
};

/// The whole buffer, rotated in S.
template <typename S, typename T>
std::vector<S> rotated(const Problem<T>& problem) {
  const Shape& s = problem.shape;
  const int64_t half = s.head_dim / 2;
  std::vector<S> result(problem.qkv.begin(), problem.qkv.end());
  for (int64_t token = 0; token < s.tokens; ++token) {
    for (int64_t head = 0; head < 2 * s.heads; ++head) {
      for (int64_t i = 0; i < half; ++i) {
        S& lower = result[token * s.stride() + head * s.head_dim + i];
        S& upper = result[token * s.stride() + head * s.head_dim + half + i];
        const S cosine = problem.cosines[problem.positions[token] * half + i];
        S sine = problem.sines[problem.positions[token] * half + i];
        if (problem.direction == RopeDirection::kBackward) sine = -sine;
        const S a = lower, b = upper;
        lower = a * cosine - b * sine;
        upper = b * cosine + a * sine;
      }
    }
  }
  return result;
}

/// Written plainly: sums in Compute<T>, one rounding.
template <typename T>
std::vector<T> plain(const Problem<T>& problem) {
  std::vector<T> result;
  for (const Compute<T> value : rotated<Compute<T>>(problem)) result.push_back(T(value));
  return result;
}

std::vector<BFloat16> on_device(const Problem<BFloat16>& problem, uint64_t order) {
  const DeviceOrder lanes(order);
  DeviceMemory memory;
  Rope<BFloat16> call = Problem<BFloat16>(problem).call();
  call.qkv = memory.in_place("qkv", problem.qkv);
  call.positions = memory.input("positions", problem.positions);
  call.cosines = memory.input("cosines", problem.cosines);
  call.sines = memory.input("sines", problem.sines);
  rope_cuda(call, nullptr);
  return memory.values<BFloat16>("qkv");
}

template <typename T>
void expect_untouched_beside_q_and_k(const Problem<T>& problem, const std::vector<T>& result) {
  const Shape& s = problem.shape;
  for (int64_t token = 0; token < s.tokens; ++token) {
    for (int64_t i = 2 * s.heads * s.head_dim; i < s.stride(); ++i) {
      const int64_t at = token * s.stride() + i;
      if (result[at] != problem.qkv[at]) FAIL("token " << token << ", column " << i);
    }
  }
}

const std::vector<Shape> kShapes = {{1, 1, 8, 0},    {1, 5, 24, 8},   {7, 3, 16, 0},
                                    {13, 2, 64, 16}, {3, 40, 128, 0}, {2, 1, 512, 0}};
constexpr RopeDirection kDirections[] = {RopeDirection::kForward, RopeDirection::kBackward};

void expect_right_kernel(const Shape& shape) {
  for (const RopeDirection direction : kDirections) {
    const Problem<BFloat16> problem(shape, direction);
    const std::vector<BFloat16> result = on_device(problem, 1);
    expect_as_accurate_as(widened(plain(problem)), written_array(result), rotated<double>(problem));
    expect_untouched_beside_q_and_k(problem, result);
    CHECK(same_bits(on_device(problem, 2), result));
  }
}

}  // namespace

TEST_CASE("RoPE: the kernel is as accurate as the plain formula") {
  for (const Shape& shape : kShapes) expect_right_kernel(shape);
}

TEST_CASE("RoPE: several blocks", "[small]") { expect_right_kernel({13, 2, 64, 16}); }

TEMPLATE_TEST_CASE("RoPE: the CPU is as accurate as the plain formula", "", float, double,
                   BFloat16) {
  std::vector<Shape> shapes = kShapes;
  shapes.push_back({3, 2, 2, 1});
  shapes.push_back({3, 2, 34, 5});  // half a head of no whole vector
  for (const Shape& shape : shapes) {
    for (const RopeDirection direction : kDirections) {
      const Problem<TestType> problem(shape, direction);
      Problem<TestType> ours = problem;
      rope_cpu(ours.call(), ThreadWorkers(2));
      expect_as_accurate_as(widened(plain(problem)), written_array(ours.qkv),
                            rotated<double>(problem));
      expect_untouched_beside_q_and_k(problem, ours.qkv);
    }
  }
}

TEST_CASE("RoPE: backward is the transpose of forward") {
  const Shape shape{5, 2, 16, 0};
  Problem<double> x(shape), y(shape, RopeDirection::kBackward);
  y.qkv = random_values<double>(shape.tokens * shape.stride(), 1.0, 2);
  const std::vector<double> x_before = x.qkv, y_before = y.qkv;
  rope_cpu(x.call(), OneWorker());
  rope_cpu(y.call(), OneWorker());
  double forward = 0, backward = 0;
  for (size_t i = 0; i < x_before.size(); ++i) {
    forward += x.qkv[i] * y_before[i];
    backward += x_before[i] * y.qkv[i];
  }
  CHECK(forward == Approx(backward).epsilon(1e-13));
}

TEST_CASE("RoPE: a quarter turn by hand", "[small]") {
  Problem<BFloat16> problem({1, 1, 8, 0});
  problem.cosines.assign(4 * kPositions, 0.0f);
  problem.sines.assign(4 * kPositions, 1.0f);
  for (int i = 0; i < 24; ++i) problem.qkv[i] = BFloat16(static_cast<float>(i + 1));
  const std::vector<double> expected = {-5, -6, -7, -8, 1,  2,  3,  4,  -13, -14, -15, -16,
                                        9,  10, 11, 12, 17, 18, 19, 20, 21,  22,  23,  24};
  CHECK(widened(on_device(problem, 1)) == expected);
}

#ifndef RADGPT_TEST_ON_GPU  // which counts no bytes
TEST_CASE("RoPE: reads and writes q and k once", "[small]") {
  const Shape shape{6, 32, 128, 0};
  const Problem<BFloat16> problem(shape);
  DeviceMemory memory;
  Rope<BFloat16> call = Problem<BFloat16>(problem).call();
  call.qkv = memory.in_place("qkv", problem.qkv);
  call.positions = memory.input("positions", problem.positions);
  call.cosines = memory.input("cosines", problem.cosines);
  call.sines = memory.input("sines", problem.sines);
  rope_cuda(call, nullptr);
  const int64_t q_and_k = shape.tokens * 2 * shape.heads * shape.head_dim * 2;
  CHECK(memory.traffic("qkv").requested == simt::Bytes{q_and_k, q_and_k});
  const simt::Bytes all = memory.traffic().requested;
  CHECK(all.read + all.written < 1.04 * 2 * q_and_k);  // a table row for each token
}
#endif

TEST_CASE("RoPE: refuses what the kernel cannot do") {
  Problem<BFloat16> problem({2, 2, 16, 0});
  const auto refuses = [&](const std::string& message, auto change) {
    Rope<BFloat16> call = problem.call();
    change(call);
    CHECK_THROWS_WITH(rope_cuda(call, nullptr), Catch::Matchers::ContainsSubstring(message));
  };
  refuses("head_dim must be a multiple of 8", [](auto& call) { call.head_dim = 12; });
  refuses("head_dim must be in [8, 512]", [](auto& call) { call.head_dim = 520; });
  refuses("stride must be at least 64, got 56", [](auto& call) { call.stride = 56; });
  refuses("qkv must be aligned", [](auto& call) { ++call.qkv; });
}
