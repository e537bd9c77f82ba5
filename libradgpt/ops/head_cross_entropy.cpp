#include "libradgpt/ops/head_cross_entropy.h"

#include <ATen/OpMathType.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>
#include <limits>

#include "kernels/primitives/lanes.h"
#include "kernels/primitives/row_loops.h"
#include "libradgpt/base/error.h"
#include "libradgpt/ops/composite_node.h"
#include "libradgpt/ops/visit_type.h"

namespace radgpt {

using namespace kernels;

namespace {

/// Logits of a chunk of rows take at most this much. Fewer rows would make the products over the
/// vocabulary wait for memory: at 125,696 tokens in bfloat16 this is 256 rows.
constexpr int64_t kChunkBytes = 64 << 20;

/// Logits of one row become exp(logit - largest) in `exponentials` (whole lanes). Returns the log
/// of the sum of exp(logit).
template <typename T>
[[gnu::target_clones("avx512f", "avx2", "default")]] Compute<T> log_sum_exp(
    const T* logits, int64_t n, Compute<T>* exponentials, Compute<T>* sum) {
  using C = Compute<T>;
  Lanes<C> largest = Lanes<C>{} - std::numeric_limits<C>::infinity();
  int64_t i = 0;
  for (; i + kLanes<C> <= n; i += kLanes<C>) {
    Lanes<C> values;
    take(logits + i, kLanes<C>, values);
    largest = values > largest ? values : largest;
  }
  C shift = max_of<C>(largest);
  for (; i < n; ++i) shift = std::max(shift, static_cast<C>(logits[i]));
  Lanes<C> sums{};
  for (i = 0; i < n; i += kLanes<C>) {
    Lanes<C> values;
    take(logits + i, n - i, values);
    for (int64_t lane = n - i; lane < kLanes<C>; ++lane) {
      values[lane] = -std::numeric_limits<C>::infinity();
    }
    values -= shift;
    exponentiate(values);
    sums += values;
    put(values, kLanes<C>, exponentials + i);
  }
  *sum = sum_of<C>(sums);
  return shift + std::log(*sum);
}

/// Calls work(row, log of the sum, sum, exponentials) for every row of logits, in parallel.
template <typename T, typename Work>
void for_each_row(const at::Tensor& logits, const Work& work) {
  using C = Compute<T>;
  const int64_t vocabulary = logits.size(1);
  const T* values = values_of<T>(logits);
  at::parallel_for(0, logits.size(0), 1, [&](int64_t begin, int64_t end) {
    std::vector<C> exponentials(round_up(vocabulary, kLanes<C>));
    for (int64_t row = begin; row < end; ++row) {
      C sum = 0;
      const C log_sum =
          log_sum_exp(values + row * vocabulary, vocabulary, exponentials.data(), &sum);
      work(row, log_sum, sum, exponentials.data());
    }
  });
}

/// log softmax(logits)[targets] per row; logits become factors[row] * (softmax - one_hot(target)).
at::Tensor replace_by_gradient(const at::Tensor& logits, const at::Tensor& targets,
                               const double* factors) {
  at::Tensor result = at::empty(targets.sizes(), targets.options().dtype(at::kDouble));
  double* log_probabilities = result.mutable_data_ptr<double>();
  const int64_t* target_of_row = targets.const_data_ptr<int64_t>();
  visit_type(logits.scalar_type(), "head_cross_entropy", [&](auto zero) {
    using T = decltype(zero);
    using C = Compute<T>;
    const int64_t vocabulary = logits.size(1);
    T* values = mutable_values_of<T>(logits);
    for_each_row<T>(logits, [&](int64_t row, C log_sum, C sum, const C* exponentials) {
      T* gradient = values + row * vocabulary;
      const int64_t target = target_of_row[row];
      log_probabilities[row] = static_cast<C>(gradient[target]) - log_sum;
      const auto factor = static_cast<C>(factors[row]);
      const C share = factor / sum;
      round_row(exponentials, vocabulary, gradient, share);
      gradient[target] = static_cast<T>(exponentials[target] * share - factor);
    });
  });
  return result;
}

int64_t chunk_rows(const HeadWeight& weight) {
  const int64_t row_bytes = weight.normalised.size(0) * weight.normalised.element_size();
  return std::max<int64_t>(kChunkBytes / row_bytes / 16 * 16, 16);
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
  if (targets.numel() == 0) return;
  const int64_t least = targets.min().item<int64_t>(), most = targets.max().item<int64_t>();
  require(least >= 0 && most < weight.normalised.size(0),
          "head_cross_entropy: targets must be in [0, ", weight.normalised.size(0), "), got ",
          least < 0 ? least : most);
}

/// Loss and the gradients that are wanted.
struct LossPass {
  double loss = 0.0;
  at::Tensor hidden;      ///< [rows, width] type of hidden
  at::Tensor normalised;  ///< [vocabulary, width] type of the master
};

void loss_pass(const at::Tensor& hidden, const HeadWeight& weight, const at::Tensor& targets,
               const std::vector<double>& factors, LossPass& pass) {
  const at::Tensor& normalised = weight.normalised;
  const int64_t step = std::min(chunk_rows(weight), hidden.size(0));
  // Both buffers serve all chunks: fresh memory of this size costs more than it takes to fill it.
  at::Tensor buffer = at::empty({step, normalised.size(0)}, hidden.options());
  at::Tensor product;
  if (pass.normalised.defined()) product = at::empty_like(normalised);
  for (int64_t first = 0; first < hidden.size(0); first += step) {
    const int64_t rows = std::min(step, hidden.size(0) - first);
    const at::Tensor chunk = hidden.narrow(0, first, rows);
    at::Tensor logits = buffer.narrow(0, 0, rows);
    at::mm_out(logits, chunk, normalised.t());
    const at::Tensor log_probabilities =
        replace_by_gradient(logits, targets.narrow(0, first, rows), factors.data() + first);
    for (int64_t row = 0; row < rows; ++row) {
      pass.loss -= log_probabilities.const_data_ptr<double>()[row] * factors[first + row];
    }
    if (pass.hidden.defined()) {
      at::Tensor part = pass.hidden.narrow(0, first, rows);
      at::mm_out(part, logits, normalised);
    }
    if (product.defined()) {
      at::mm_out(product, logits.t(), chunk);
      pass.normalised.add_(product);
    }
  }
}

/// g, the gradient of one row of N = W / |W|, becomes that of W: (g - N (N . g)) / |W|.
template <typename C>
[[gnu::target_clones("avx512f", "avx2", "default")]] void row_through_normalisation(const C* w,
                                                                                    int64_t n,
                                                                                    C* g) {
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
  if (master.scalar_type() == at::kDouble) {
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
  std::vector<at::Tensor> backward(const at::Tensor& gradient) override {
    const double factor = gradient.item<double>();
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
    loss_pass(rows, weight, targets.contiguous(), factors, pass);
    if (train_head) through_normalisation(weight.master, pass.normalised);
    loss = at::scalar_tensor(pass.loss,
                             hidden.options().dtype(at::toOpMathType(hidden.scalar_type())));
  }
  if (!gradients_wanted({hidden, weight.master})) return loss;
  return record(loss, make_node<HeadCrossEntropyNode>(pass.hidden, pass.normalised),
                {hidden, weight.master});
}

at::Tensor head_logits(const at::Tensor& hidden, const HeadWeight& weight) {
  const at::NoGradGuard forward_only;
  return at::mm(hidden, weight.normalised.t()).to(at::kFloat);
}

at::Tensor head_log_probabilities(const at::Tensor& hidden, const HeadWeight& weight,
                                  const at::Tensor& targets) {
  check_head(hidden, weight, targets);
  const at::NoGradGuard forward_only;
  const at::Tensor rows = hidden.contiguous(), ids = targets.contiguous();
  at::Tensor result = at::empty({hidden.size(0)}, hidden.options().dtype(at::kFloat));
  const int64_t step = chunk_rows(weight);
  const std::vector<double> ones(static_cast<size_t>(step), 1.0);
  for (int64_t first = 0; first < rows.size(0); first += step) {
    const int64_t count = std::min(step, rows.size(0) - first);
    const at::Tensor logits = at::mm(rows.narrow(0, first, count), weight.normalised.t());
    result.narrow(0, first, count)
        .copy_(replace_by_gradient(logits, ids.narrow(0, first, count), ones.data()));
  }
  return result;
}

}  // namespace radgpt
