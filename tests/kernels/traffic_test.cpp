// Bytes of global memory that an adapter costs, against the formulas: M rows, K in, N out.

#include "tests/catch.h"
#include "tests/kernels/adapted_linear_traffic.h"

namespace radgpt::kernels {
namespace {

constexpr int64_t kRows = 1030, kIn = 520, kOut = 776;
constexpr int64_t kBytesOfX = 2 * kRows * kIn, kBytesOfY = 2 * kRows * kOut;

void check_within_two_percent(int64_t bytes, int64_t formula, int64_t whole) {
  CHECK(std::abs(static_cast<double>(bytes - formula)) <= 0.02 * static_cast<double>(whole));
}

/// An adapter costs these bytes of activations, and what the formula says for its own arrays.
void check_adapter(const LinearShape& shape, int64_t forward, int64_t backward) {
  CAPTURE(shape.rank, shape.dropout);
  const LinearTraffic extra = adapter_traffic(shape);
  check_within_two_percent(extra.forward.activations, forward, kBytesOfX);
  check_within_two_percent(extra.backward.activations, backward, kBytesOfX);
  const AdapterBytes own = adapter_formula(shape);
  check_within_two_percent(extra.forward.adapter, own.forward, own.forward);
  check_within_two_percent(extra.backward.adapter, own.backward, own.backward);
}

}  // namespace

// So that what an adapter adds is not measured against waste.
TEST_CASE("Traffic: without an adapter each element of an activation passes once") {
  const LinearTraffic norm = linear_traffic({LinearInput::kRmsNorm, kRows, kIn, kOut, 0, 0.0});
  check_within_two_percent(norm.forward.activations, 2 * kBytesOfX, kBytesOfX);   // x, y
  check_within_two_percent(norm.backward.activations, 3 * kBytesOfX, kBytesOfX);  // x, dy, dx
  const LinearTraffic swiglu = linear_traffic({LinearInput::kSwiglu, kRows, kIn, kOut, 0, 0.0});
  check_within_two_percent(swiglu.forward.activations, 3 * kBytesOfX, kBytesOfX);
  check_within_two_percent(swiglu.backward.activations, 5 * kBytesOfX, kBytesOfX);
  const LinearTraffic plain = linear_traffic({LinearInput::kPlain, kRows, kIn, kOut, 0, 0.0});
  CHECK(plain.forward.activations + plain.backward.activations == 0);
}

TEST_CASE("Traffic: an adapter behind RMSNorm costs 0 forward and 2MK + 2MN backward") {
  for (const int64_t rank : {1, 8, 16, 64}) {
    for (const double dropout : {0.0, 0.1}) {
      check_adapter({LinearInput::kRmsNorm, kRows, kIn, kOut, rank, dropout}, 0,
                    kBytesOfX + kBytesOfY);
    }
  }
}

TEST_CASE("Traffic: an adapter behind SwiGLU costs 0 forward and 2MN backward") {
  for (const int64_t rank : {8, 64}) {
    check_adapter({LinearInput::kSwiglu, kRows, kIn, kOut, rank, 0.1}, 0, kBytesOfY);
  }
}

// S alone would cost 2MK forward. The other 2MK are the copy of X into the rows that S stands
// behind, so that one product makes the output; layers of the model have an input of the two kinds
// above.
TEST_CASE("Traffic: an adapter on a plain input costs 4MK forward and 6MK + 2MN backward") {
  check_adapter({LinearInput::kPlain, kRows, kIn, kOut, 8, 0.1}, 2 * kBytesOfX,
                3 * kBytesOfX + kBytesOfY);
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
