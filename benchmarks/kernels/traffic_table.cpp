// Bytes of activations through global memory that an adapter adds to a frozen linear layer of M
// rows from K to N features: ours as the executor counts them (tests/simt), beside the formulas of
// ours and of other orders of the same operations.
//
//   traffic_table [M K N [RANK DROPOUT]]         1030 520 776 8 0.1
//
// In units of 2 M K and 2 M N bytes, one reading or writing of X or Y in bf16. Terms in the rank
// stand apart, as the adapter's own arrays: S, A, B, their gradients and partial sums of them.

#include <cstdio>
#include <cstdlib>

#include "tests/kernels/adapted_linear_traffic.h"

namespace radgpt::kernels {
namespace {

/// Readings and writings of X and of Y in a forward and in a backward pass.
struct Formula {
  const char* name;
  double forward_x, forward_y, backward_x, backward_y;
};

/// As their sources launch kernels: what autograd makes of peft's module; Unsloth's LoRA_MLP and
/// LoRA_W, which have no dropout; LoRAFusion's lora_v1 without its atomic additions.
constexpr Formula kWithDropout[] = {{"peft", 3.5, 6, 7.5, 4}, {"LoRAFusion", 3.5, 0, 1.5, 1}};
constexpr Formula kWithoutDropout[] = {
    {"peft", 1, 6, 5, 4}, {"Unsloth", 1, 2, 4, 3}, {"LoRAFusion", 1, 0, 1, 1}};

struct Ours {
  LinearInput input;
  Formula formula;
};
constexpr Ours kOurs[] = {{LinearInput::kRmsNorm, {"ours, RMSNorm before", 0, 0, 1, 1}},
                          {LinearInput::kSwiglu, {"ours, SwiGLU before", 0, 0, 0, 1}},
                          {LinearInput::kPlain, {"ours, any input", 2, 0, 3, 1}}};

struct Bytes {
  double forward, backward;
};

Bytes bytes_of(const Formula& formula, const LinearShape& shape) {
  const double x = 2.0 * shape.rows * shape.in, y = 2.0 * shape.rows * shape.out;
  return {formula.forward_x * x + formula.forward_y * y,
          formula.backward_x * x + formula.backward_y * y};
}

Bytes bytes_of(int64_t forward, int64_t backward) {
  return {static_cast<double>(forward), static_cast<double>(backward)};
}

void print(const char* name, const char* how, const Bytes& bytes, const LinearShape& shape) {
  const double x = 2.0 * shape.rows * shape.in;
  std::printf("%-22s %-9s %10.3f %10.3f %10.3f   %8.2f\n", name, how, bytes.forward / 1e6,
              bytes.backward / 1e6, (bytes.forward + bytes.backward) / 1e6,
              (bytes.forward + bytes.backward) / x);
}

void print_table(const LinearShape& shape) {
  std::printf("rows %lld  in %lld  out %lld  rank %lld  dropout %g\n\n",
              static_cast<long long>(shape.rows), static_cast<long long>(shape.in),
              static_cast<long long>(shape.out), static_cast<long long>(shape.rank), shape.dropout);
  std::printf("%-22s %-9s %10s %10s %10s   %8s\n", "MB beyond the frozen", "", "forward",
              "backward", "both", "both / X");
  const auto print_all = [&](const auto& formulas) {
    for (const Formula& formula : formulas) {
      print(formula.name, "formula", bytes_of(formula, shape), shape);
    }
  };
  if (shape.dropout > 0) {
    print_all(kWithDropout);
  } else {
    print_all(kWithoutDropout);
  }
  for (const Ours& ours : kOurs) {
    print(ours.formula.name, "formula", bytes_of(ours.formula, shape), shape);
    LinearShape counted = shape;
    counted.input = ours.input;
    const LinearTraffic extra = adapter_traffic(counted);
    const AdapterBytes own = adapter_formula(counted);
    print("", "counted", bytes_of(extra.forward.activations, extra.backward.activations), shape);
    print("  its own arrays", "formula", bytes_of(own.forward, own.backward), shape);
    print("", "counted", bytes_of(extra.forward.adapter, extra.backward.adapter), shape);
  }
}

}  // namespace
}  // namespace radgpt::kernels

int main(int argc, char** argv) {
  const auto number = [&](int i, double otherwise) {
    return argc > i ? std::atof(argv[i]) : otherwise;
  };
  try {
    radgpt::kernels::print_table(
        {radgpt::kernels::LinearInput::kPlain, static_cast<int64_t>(number(1, 1030)),
         static_cast<int64_t>(number(2, 520)), static_cast<int64_t>(number(3, 776)),
         static_cast<int64_t>(number(4, 8)), number(5, 0.1)});
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
