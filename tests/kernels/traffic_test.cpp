// Bytes of global memory that an adapter costs, against the formulas: M rows, K in, N out.

#include "tests/catch.h"
#include "tests/kernels/adapted_linear_traffic.h"

namespace radgpt::kernels {
namespace {

constexpr int64_t kRows = 1030, kIn = 520, kOut = 776;
constexpr int64_t kBytesOfX = 2 * kRows * kIn, kBytesOfY = 2 * kRows * kOut;

struct Extra {
  int64_t forward;
  int64_t backward;
};

/// What an adapter adds to the traffic of activations. S stands behind X in the same rows: what it
/// takes of them is a term in rank.
Extra extra_activations(LinearInput input, int64_t rank, double dropout) {
  LinearShape shape{input, kRows, kIn, kOut, rank, dropout};
  const LinearTraffic adapted = linear_traffic(shape);
  shape.rank = 0;
  const LinearTraffic frozen = linear_traffic(shape);
  const int64_t s = 2 * kRows * ((rank + 15) / 16 * 16);
  return {adapted.forward.activations - frozen.forward.activations - s,
          adapted.backward.activations - frozen.backward.activations};
}

void check_within_two_percent(int64_t bytes, int64_t formula) {
  const double scale = static_cast<double>(kBytesOfX);
  CHECK(std::abs(static_cast<double>(bytes - formula)) <= 0.02 * scale);
}

}  // namespace

TEST_CASE("Traffic: an adapter behind RMSNorm costs 0 forward and 2MK + 2MN backward") {
  for (const int64_t rank : {1, 8, 16, 64}) {
    for (const double dropout : {0.0, 0.1}) {
      CAPTURE(rank, dropout);
      const Extra extra = extra_activations(LinearInput::kRmsNorm, rank, dropout);
      check_within_two_percent(extra.forward, 0);
      check_within_two_percent(extra.backward, kBytesOfX + kBytesOfY);
    }
  }
}

TEST_CASE("Traffic: an adapter behind SwiGLU costs 0 forward and 2MN backward") {
  for (const int64_t rank : {8, 64}) {
    CAPTURE(rank);
    const Extra extra = extra_activations(LinearInput::kSwiglu, rank, 0.1);
    check_within_two_percent(extra.forward, 0);
    check_within_two_percent(extra.backward, kBytesOfY);
  }
}

TEST_CASE("Traffic: an adapter on a plain input costs 4MK forward and 6MK + 2MN backward") {
  const Extra extra = extra_activations(LinearInput::kPlain, 8, 0.1);
  check_within_two_percent(extra.forward, 2 * kBytesOfX);
  check_within_two_percent(extra.backward, 3 * kBytesOfX + kBytesOfY);
}

TEST_CASE(
    "Traffic: rows are read a second time from the cache only where a norm needs them whole") {
  const LinearTraffic norm = linear_traffic({LinearInput::kRmsNorm, kRows, kIn, kOut, 8, 0.1});
  CHECK(norm.forward.activation_requests <= norm.forward.activations + kBytesOfX);
  CHECK(norm.backward.activation_requests <= norm.backward.activations + 2 * kBytesOfX);
  const LinearTraffic swiglu = linear_traffic({LinearInput::kSwiglu, kRows, kIn, kOut, 8, 0.1});
  CHECK(swiglu.forward.activation_requests <= swiglu.forward.activations);
  CHECK(swiglu.backward.activation_requests <= swiglu.backward.activations);
}

}  // namespace radgpt::kernels
