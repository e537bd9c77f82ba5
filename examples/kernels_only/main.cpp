// A linear layer with a LoRA adapter, forward and backward, with nothing but the kernels and a
// matrix product of your own:
//
//   y = x W^T + scale * dropout(x) A^T B^T
//
// Trains A and B until y is what another adapter makes of x, and prints the loss on the way.
#include <cmath>
#include <cstdint>
#include <iostream>
#include <vector>

#include "kernels/lora_linear/lora_input.h"
#include "kernels/lora_linear/lora_output.h"
#include "kernels/primitives/workers.h"
#include "libradgpt/base/philox.h"

namespace {

using namespace radgpt;
using Matrix = std::vector<float>;

constexpr int64_t kRows = 64, kIn = 48, kOut = 40, kRank = 4;
constexpr int64_t kBorder = 16;  // columns behind W for scale * B; the rest of them stays zero
constexpr int64_t kWidth = kIn + kBorder;
constexpr double kScale = 2.0, kDropout = 0.1;

Matrix random_matrix(int64_t count, float size, uint32_t seed) {
  Matrix values(count);
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t word = philox({static_cast<uint32_t>(i), 0, 0, 0}, {seed, 0})[0];
    values[i] = size * static_cast<float>(word * 0x1p-31 - 1.0);
  }
  return values;
}

/// c [m, n] = a [m, k] b^T for b [n, k], or a b for b [k, n], whose rows are kWidth apart. The one
/// large product of each pass: a matrix library's place.
enum class Transposed { kNo, kYes };
Matrix product(const Matrix& a, const Matrix& b, int64_t m, int64_t n, int64_t k, Transposed how) {
  Matrix c(m * n);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      for (int64_t l = 0; l < k; ++l) {
        const float factor = how == Transposed::kYes ? b[j * kWidth + l] : b[l * kWidth + j];
        c[i * n + j] += a[i * k + l] * factor;
      }
    }
  }
  return c;
}

/// [W | scale B] and A.
struct AdaptedLinear {
  Matrix storage = Matrix(kOut * kWidth);
  Matrix a = random_matrix(kRank * kIn, 0.2f, 2);
  Matrix b = Matrix(kOut * kRank);

  AdaptedLinear() {
    const Matrix w = random_matrix(kOut * kIn, 0.2f, 1);
    for (int64_t i = 0; i < kOut * kIn; ++i) storage[i / kIn * kWidth + i % kIn] = w[i];
    publish();
  }
  /// Writes scale * B where the product reads it.
  void publish() {
    for (int64_t i = 0; i < kOut * kRank; ++i) {
      storage[i / kRank * kWidth + kIn + i % kRank] = static_cast<float>(kScale) * b[i];
    }
  }
};

kernels::AdapterInputs<float> adapter_of(const AdaptedLinear& linear, uint32_t step,
                                         double dropout) {
  kernels::DropoutMask mask;
  mask.key = {7, step};
  mask.drop(dropout);
  kernels::AdapterInputs<float> inputs;
  inputs.adapters[inputs.count++] = {linear.a.data(), kRank, 0, mask};
  return inputs;
}

/// x_hat = [x | S]; y = x_hat [W | scale B]^T.
Matrix forward(const AdaptedLinear& linear, const kernels::AdapterInputs<float>& inputs,
               const Matrix& x, Matrix& x_hat) {
  kernels::LoraInputForward<float> call;
  call.rows = kRows;
  call.columns = kIn;
  call.x = x.data();
  call.y = x_hat.data();
  call.y_stride = kWidth;
  call.border = kBorder;
  call.inputs = inputs;
  // On a GPU: pointers to device memory, elements of kernels::BFloat16, and
  //   kernels::lora_input_forward_cuda(call, stream);
  // which returns before the work is done. The backward calls take a workspace on the device too,
  // of as many bytes as lora_input_backward_workspace(call) says.
  kernels::lora_input_forward_cpu(call, kernels::ThreadWorkers(2));
  return product(x_hat, linear.storage, kRows, kOut, kWidth, Transposed::kYes);
}

struct Gradients {
  Matrix a = Matrix(kRank * kIn), b = Matrix(kOut * kRank), x;
};

Gradients backward(const AdaptedLinear& linear, const kernels::AdapterInputs<float>& inputs,
                   const Matrix& x, const Matrix& x_hat, const Matrix& dy) {
  Gradients gradients;
  Matrix ds(kRows * kBorder);
  kernels::LoraOutputBackward<float> output;  // dS = dy (scale B), dB = scale dy^T S
  output.rows = kRows;
  output.out_features = kOut;
  output.dy = dy.data();
  output.s = x_hat.data() + kIn;
  output.s_stride = kWidth;
  output.border = kBorder;
  output.weight_border = linear.storage.data() + kIn;
  output.weight_stride = kWidth;
  output.ds = ds.data();
  output.ds_stride = kBorder;
  output.adapters[output.count++] = {0, kOut, kRank, 0, kScale, gradients.b.data()};
  kernels::lora_output_backward_cpu(output, kernels::ThreadWorkers(2));

  gradients.x = product(dy, linear.storage, kRows, kIn, kOut, Transposed::kNo);
  kernels::LoraInputBackward<float> input;  // dX += mask (dS A), dA = dS^T dropout(x)
  input.rows = kRows;
  input.columns = kIn;
  input.x = x.data();
  input.dy = gradients.x.data();
  input.dy_stride = kIn;
  input.dx = gradients.x.data();
  input.inputs = inputs;
  input.gradients.ds = ds.data();
  input.gradients.ds_stride = kBorder;
  input.gradients.da[0] = gradients.a.data();
  kernels::lora_input_backward_cpu(input, kernels::ThreadWorkers(2));
  return gradients;
}

}  // namespace

int main() {
  AdaptedLinear wanted, linear;
  wanted.b = random_matrix(kOut * kRank, 0.2f, 3);
  wanted.publish();
  const Matrix x = random_matrix(kRows * kIn, 1.0f, 4);
  Matrix x_hat(kRows * kWidth);
  const Matrix target = forward(wanted, adapter_of(wanted, 0, 0.0), x, x_hat);

  float first = 0, loss = 0;
  for (uint32_t step = 0; step < 200; ++step) {
    const auto inputs = adapter_of(linear, step, kDropout);
    Matrix dy = forward(linear, inputs, x, x_hat);
    loss = 0;
    for (size_t i = 0; i < dy.size(); ++i) {
      dy[i] = (dy[i] - target[i]) / static_cast<float>(kRows);
      loss += dy[i] * dy[i] * static_cast<float>(kRows) / 2;
    }
    if (step == 0) first = loss;
    if (step % 50 == 0) std::cout << "step " << step << "  loss " << loss << "\n";
    const Gradients gradients = backward(linear, inputs, x, x_hat, dy);
    for (size_t i = 0; i < linear.a.size(); ++i) linear.a[i] -= 0.1f * gradients.a[i];
    for (size_t i = 0; i < linear.b.size(); ++i) linear.b[i] -= 0.1f * gradients.b[i];
    linear.publish();
  }
  std::cout << "step 200  loss " << loss << "\n";
  return loss < first / 5 ? 0 : 1;
}
