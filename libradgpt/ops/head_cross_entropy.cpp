#include "libradgpt/ops/head_cross_entropy.h"

#include <ATen/OpMathType.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/norm.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

#include "kernels/primitives/lanes.h"
#include "libradgpt/base/error.h"
#include "libradgpt/ops/composite_node.h"
#include "libradgpt/ops/matrix_product.h"
#include "libradgpt/ops/run_kernel.h"
#include "libradgpt/ops/visit_type.h"

namespace radgpt {

using namespace kernels;

namespace {

/// Logits of a chunk of rows take at most this much. Fewer rows would make the products over the
/// vocabulary wait for memory: at 125,696 tokens in bfloat16 this is 256 rows on a CPU, 1,024 on a
/// GPU, which needs that many to be busy.
constexpr int64_t kChunkBytes = 64 << 20;
constexpr int64_t kDeviceChunkBytes = 256 << 20;

/// Rows of logits on a GPU start at multiples of 16 bytes.
constexpr int64_t kLogitsStep = 8;

int64_t chunk_rows(const HeadWeight& weight) {
  const bool device = device_kernels(weight.normalised) != nullptr;
  const int64_t row_bytes = weight.normalised.size(0) * weight.normalised.element_size();
  return std::max<int64_t>((device ? kDeviceChunkBytes : kChunkBytes) / row_bytes / 16 * 16, 16);
}

/// Room for the logits of `rows` rows.
at::Tensor logits_buffer(int64_t rows, const HeadWeight& weight) {
  const int64_t vocabulary = weight.normalised.size(0);
  const int64_t stride = (vocabulary + kLogitsStep - 1) / kLogitsStep * kLogitsStep;
  return at::empty({rows, stride}, weight.normalised.options()).narrow(1, 0, vocabulary);
}

/// log softmax(logits)[targets] per row, in the type of sums. With factors [rows] of that type,
/// logits become factors[row] * (softmax - one_hot(target)).
at::Tensor cross_entropy_rows(const at::Tensor& logits, const at::Tensor& targets,
                              const at::Tensor& factors) {
  at::Tensor result =
      at::empty(targets.sizes(), logits.options().dtype(at::toOpMathType(logits.scalar_type())));
  visit_type(logits.scalar_type(), "head_cross_entropy", [&](auto zero) {
    using T = decltype(zero);
    using C = Compute<T>;
    const kernels::CrossEntropy<T> call{
        .rows = logits.size(0),
        .vocabulary = logits.size(1),
        .logits = mutable_values_of<T>(logits),
        .stride = logits.stride(0),
        .targets = targets.const_data_ptr<int64_t>(),
        .factors = factors.defined() ? factors.const_data_ptr<C>() : nullptr,
        .log_probabilities = result.mutable_data_ptr<C>()};
    run_kernel<T>(
        logits, [&](auto& device, auto stream) { device.cross_entropy(call, stream); },
        [&](auto workers) { kernels::cross_entropy_cpu(call, workers); });
  });
  return result;
}

void check_head(const at::Tensor& hidden, const HeadWeight& weight, const at::Tensor& targets) {
  require(
      hidden.dim() == 2 && weight.normalised.dim() == 2 &&
          hidden.size(1) == weight.normalised.size(1) &&
          hidden.scalar_type() == weight.normalised.scalar_type(),
      "head_cross_entropy: hidden [rows, width] and weight [vocabulary, width] of one type, got ",
      hidden.sizes(), " ", hidden.scalar_type(), " and ", weight.normalised.sizes(), " ",
      weight.normalised.scalar_type());
  require(targets.sizes() == at::IntArrayRef{hidden.size(0)} && targets.scalar_type() == at::kLong,
          "head_cross_entropy: targets must be int64 [", hidden.size(0), "], got ",
          targets.scalar_type(), " ", targets.sizes());
  if (targets.numel() == 0 || !targets.is_cpu()) return;
  const int64_t least = targets.min().item<int64_t>(), most = targets.max().item<int64_t>();
  require(least >= 0 && most < weight.normalised.size(0),
          "head_cross_entropy: targets must be in [0, ", weight.normalised.size(0), "), got ",
          least < 0 ? least : most);
}

/// The gradients that are wanted.
struct LossPass {
  at::Tensor hidden;      ///< [rows, width] type of hidden
  at::Tensor normalised;  ///< [vocabulary, width] type of the master
};

/// Fills in the gradients and returns the log-probabilities of the targets, [rows].
at::Tensor loss_pass(const at::Tensor& hidden, const HeadWeight& weight, const at::Tensor& targets,
                     const at::Tensor& factors, LossPass& pass) {
  const at::Tensor& normalised = weight.normalised;
  const int64_t step = std::min(chunk_rows(weight), hidden.size(0));
  // Both buffers serve all chunks: fresh memory of this size costs more than it takes to fill it.
  const at::Tensor buffer = logits_buffer(step, weight);
  at::Tensor product;
  if (pass.normalised.defined()) product = at::empty_like(normalised);
  at::Tensor log_probabilities = at::empty(targets.sizes(), factors.options());
  for (int64_t first = 0; first < hidden.size(0); first += step) {
    const int64_t rows = std::min(step, hidden.size(0) - first);
    const at::Tensor chunk = hidden.narrow(0, first, rows);
    const at::Tensor logits = buffer.narrow(0, 0, rows);
    matrix_product_into(logits, chunk, normalised.t());
    log_probabilities.narrow(0, first, rows)
        .copy_(cross_entropy_rows(logits, targets.narrow(0, first, rows),
                                  factors.narrow(0, first, rows)));
    if (pass.hidden.defined()) {
      matrix_product_into(pass.hidden.narrow(0, first, rows), logits, normalised);
    }
    if (product.defined()) {
      at::mm_out(product, logits.t(), chunk);
      pass.normalised.add_(product);
    }
  }
  return log_probabilities;
}

/// -sum of a[i] b[i] in double; on the CPU in the order of i.
double negative_dot(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor products = a.to(at::kDouble) * b;
  if (!products.is_cpu()) return -products.sum().item<double>();
  double sum = 0.0;
  for (int64_t i = 0; i < products.numel(); ++i) sum -= products.const_data_ptr<double>()[i];
  return sum;
}

/// g, the gradient of one row of N = W / |W|, becomes that of W: (g - N (N . g)) / |W|.
template <typename C>
[[RADGPT_VECTOR_CLONES]] void row_through_normalisation(const C* w, int64_t n, C* g) {
  Lanes<C> squares{}, products{};
  for (int64_t i = 0; i < n; i += kLanes<C>) {
    Lanes<C> weights, gradients;
    take(w + i, n - i, weights);
    take(g + i, n - i, gradients);
    squares += weights * weights;
    products += weights * gradients;
  }
  const C norm = std::max(std::sqrt(sum_of<C>(squares)), C{1e-12});
  const C along = sum_of<C>(products) / (norm * norm);
  for (int64_t i = 0; i < n; i += kLanes<C>) {
    Lanes<C> weights, gradients;
    take(w + i, n - i, weights);
    take(g + i, n - i, gradients);
    put((gradients - weights * along) / norm, n - i, g + i);
  }
}

/// The same for all rows; `master` is W.
template <typename C>
void through_normalisation(const at::Tensor& master, at::Tensor& gradient) {
  const int64_t width = master.size(1);
  const C* w = master.const_data_ptr<C>();
  C* g = gradient.mutable_data_ptr<C>();
  at::parallel_for(0, master.size(0), 64, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      row_through_normalisation(w + row * width, width, g + row * width);
    }
  });
}

void through_normalisation(const at::Tensor& master, at::Tensor& gradient) {
  if (!master.is_cpu()) {
    const at::Tensor norm = master.norm(2, {1}, true).clamp_min(1e-12), n = master / norm;
    gradient = (gradient - n * (n * gradient).sum(1, true)) / norm;
  } else if (master.scalar_type() == at::kDouble) {
    through_normalisation<double>(master, gradient);
  } else {
    through_normalisation<float>(master, gradient);
  }
}

/// Its gradients are ready; backward only scales them.
class HeadCrossEntropyNode : public CompositeNode {
 public:
  HeadCrossEntropyNode(at::Tensor hidden, at::Tensor master)
      : hidden_(std::move(hidden)), master_(std::move(master)) {}
  std::string name() const override { return "HeadCrossEntropy"; }

 private:
  std::vector<at::Tensor> backward(const std::vector<at::Tensor>& gradients) override {
    const double factor = gradients[0].item<double>();
    const auto scaled = [&](const at::Tensor& t) {
      return !t.defined() || factor == 1.0 ? t : t * factor;
    };
    return {scaled(hidden_), scaled(master_)};
  }
  void release() override {
    hidden_.reset();
    master_.reset();
  }

  at::Tensor hidden_;
  at::Tensor master_;
};

bool asks(const at::Tensor& leaf) { return gradients_wanted({leaf}); }

}  // namespace

at::Tensor head_cross_entropy(const at::Tensor& hidden, const HeadWeight& weight,
                              const at::Tensor& targets, double divisor,
                              const std::vector<float>& weights) {
  check_head(hidden, weight, targets);
  const auto count = static_cast<size_t>(targets.numel());
  require(weights.empty() || weights.size() == count, "head_cross_entropy: weights must be ", count,
          ", one a row, got ", weights.size());
  std::vector<double> factors(count, 1.0 / divisor);
  for (size_t i = 0; i < weights.size(); ++i) factors[i] *= weights[i];
  LossPass pass;
  at::Tensor loss;
  {
    const bool train_hidden = asks(hidden), train_head = asks(weight.master);
    const at::NoGradGuard forward_only;
    const at::Tensor rows = hidden.detach().contiguous();
    if (train_hidden) pass.hidden = at::empty_like(rows);
    if (train_head) pass.normalised = at::zeros_like(weight.master);
    const auto sums = hidden.options().dtype(at::toOpMathType(hidden.scalar_type()));
    const at::Tensor exact_factors = at::tensor(factors, at::kDouble).to(hidden.device());
    const at::Tensor log_probabilities = loss_pass(
        rows, weight, targets.to(hidden.device()).contiguous(), exact_factors.to(sums), pass);
    if (train_head) through_normalisation(weight.master, pass.normalised);
    loss = at::scalar_tensor(negative_dot(log_probabilities, exact_factors), sums);
  }
  if (!gradients_wanted({hidden, weight.master})) return loss;
  record({loss}, make_node<HeadCrossEntropyNode>(pass.hidden, pass.normalised),
         {hidden, weight.master});
  return loss;
}

at::Tensor head_logits(const at::Tensor& hidden, const HeadWeight& weight) {
  const at::NoGradGuard forward_only;
  const at::Tensor logits = logits_buffer(hidden.size(0), weight);
  matrix_product_into(logits, hidden, weight.normalised.t());
  return logits.to(at::kFloat);
}

at::Tensor head_log_probabilities(const at::Tensor& hidden, const HeadWeight& weight,
                                  const at::Tensor& targets) {
  check_head(hidden, weight, targets);
  const at::NoGradGuard forward_only;
  const at::Tensor rows = hidden.contiguous();
  const at::Tensor ids = targets.to(hidden.device()).contiguous();
  at::Tensor result = at::empty({hidden.size(0)}, hidden.options().dtype(at::kFloat));
  const int64_t step = std::min(chunk_rows(weight), rows.size(0));
  const at::Tensor buffer = logits_buffer(step, weight);
  for (int64_t first = 0; first < rows.size(0); first += step) {
    const int64_t count = std::min(step, rows.size(0) - first);
    const at::Tensor logits = buffer.narrow(0, 0, count);
    matrix_product_into(logits, rows.narrow(0, first, count), weight.normalised.t());
    result.narrow(0, first, count)
        .copy_(cross_entropy_rows(logits, ids.narrow(0, first, count), {}));
  }
  return result;
}

}  // namespace radgpt
