// Forward and backward of one linear layer with a LoRA adapter, in bf16, beside the frozen layer
// and beside other orders of the same operations:
//
//   adapted_linear [--device cpu|cuda] [--require FROZEN PEFT] [--results FOLDER]
//                  [RANK DROPOUT [ROWS IN OUT]...]
//
//   frozen        y = x W^T and dX: the least that the layer can cost
//   ours          the composite op: one product a pass, the adapter's part in the kernels
//   peft          peft's operations under autograd as its users get them: adapters, and therefore
//                 the input of A and the sum of both parts, in fp32 (autocast_adapter_dtype)
//   peft bf16     the same with adapters in bf16
//   unsloth       Unsloth's products: S and dY B twice, sums into y and dX; it has no dropout
//   in place      S and dS once, kept; sums into y and dX; masks kept as bytes
//
// All run in turn; ratios are medians of the rounds' ratios. Results are checked first, at a small
// shape: ours must be at most twice as far from double precision as peft's order in bf16 with the
// same mask. Medians are appended to FOLDER/DEVICE.csv, benchmarks/results by default;
// RADGPT_DEVICE of the environment names a GPU, RADGPT_COMMIT the commit. Exit code 1: the check
// has failed, or at some shape ours takes more than FROZEN times as long as frozen, or peft less
// than PEFT times as long as ours.

#include <ATen/Parallel.h>
#include <torch/cuda.h>
#include <torch/types.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "benchmarks/kernels/adapted_layers.h"
#include "benchmarks/kernels/interleaved.h"
#include "benchmarks/kernels/result_rows.h"
#include "libradgpt/base/error.h"
#include "libradgpt/ops/dropout_mask.h"
#include "libradgpt/ops/lora_linear.h"
#include "libradgpt/record/manifest.h"

namespace radgpt {
namespace {

constexpr int kMostRounds = 25;
/// On a GPU as many as fit so many milliseconds, but at least five.
constexpr double kTimeOfGpu = 1500;
/// On a GPU a round is so many runs, so that the host is ahead of it.
constexpr int kRunsOfGpu = 5;

/// One layer, its input and the gradient of its output. Tensors of `type`.
struct Layer {
  at::Tensor x, w, a, b, dy;
  double scale = 2.0;  // alpha = 2 rank
  double dropout = 0.0;

  Layer to(at::ScalarType type) const {
    Layer other = *this;
    for (at::Tensor Layer::*tensor : {&Layer::x, &Layer::w, &Layer::a, &Layer::b, &Layer::dy}) {
      other.*tensor = (this->*tensor).to(type);
    }
    return other;
  }
};

struct Results {
  at::Tensor y, dx, da, db;
};

struct Sizes {
  int64_t rows, in, out, rank;
  double dropout;
};

Layer random_layer(const Sizes& sizes, at::Device device) {
  const auto [rows, in, out, rank, dropout] = sizes;
  torch::manual_seed(1);
  const double size = 1 / std::sqrt(static_cast<double>(in));
  const auto random = [&](int64_t of, int64_t columns) {
    return torch::randn({of, columns}, device);
  };
  const Layer layer{random(rows, in),
                    random(out, in) * size,
                    random(rank, in) * size,
                    random(out, rank) * size,
                    random(rows, out),
                    2.0,
                    dropout};
  return layer.to(at::kBFloat16);
}

constexpr DropoutKey kKey{1, 2, 3, true};

BorderedWeight bordered(const Layer& layer) {
  const int64_t out = layer.w.size(0), in = layer.w.size(1), rank = layer.a.size(0);
  const int64_t border = (rank + kBorderTile - 1) / kBorderTile * kBorderTile;
  BorderedWeight weight;
  weight.in_features = in;
  weight.storage = torch::zeros({out, in + border}, layer.w.options());
  weight.weight().copy_(layer.w);
  LoraPair pair;
  pair.a = layer.a;
  pair.a_master = layer.a.to(at::kFloat).set_requires_grad(true);
  pair.b_master = layer.b.to(at::kFloat).set_requires_grad(true);
  pair.scale = layer.scale;
  pair.dropout = layer.dropout;
  pair.row_end = out;
  weight.pairs.push_back(pair);
  weight.scaled_b(pair).copy_(pair.b_master.detach() * pair.scale);
  return weight;
}

at::Tensor leaf(const at::Tensor& tensor) { return tensor.detach().set_requires_grad(true); }

Results ours(const Layer& layer, const BorderedWeight& weight) {
  const at::Tensor x = leaf(layer.x);
  const LoraPair& pair = weight.pairs[0];
  const at::Tensor y = lora_linear(x, weight, kKey);
  const auto gradients = torch::autograd::grad({y}, {x, pair.a_master, pair.b_master}, {layer.dy});
  return {y, gradients[0], gradients[1], gradients[2]};
}

Results frozen(const Layer& layer, const BorderedWeight& weight) {
  const at::Tensor x = leaf(layer.x);
  const at::Tensor y = lora_linear(x, weight, kKey);
  return {y, torch::autograd::grad({y}, {x}, {layer.dy})[0], {}, {}};
}

/// With adapters of the type `adapters`. `mask` [rows, in] is given where results are compared,
/// else undefined.
Results peft(const Layer& layer, at::ScalarType adapters, const at::Tensor& mask) {
  const at::Tensor x = leaf(layer.x), a = leaf(layer.a.to(adapters)),
                   b = leaf(layer.b.to(adapters));
  const at::Tensor base = at::linear(x, layer.w), input = x.to(adapters);
  const at::Tensor dropped =
      mask.defined() ? input * mask : at::dropout(input, layer.dropout, true);
  const at::Tensor y =
      (base + at::linear(at::linear(dropped, a), b) * layer.scale).to(base.dtype());
  const auto gradients = torch::autograd::grad({y}, {x, a, b}, {layer.dy});
  return {y, gradients[0], gradients[1], gradients[2]};
}

Results unsloth(const Layer& layer) {
  const at::NoGradGuard by_hand;
  at::Tensor y = at::mm(layer.x, layer.w.t());
  y.addmm_(at::mm(layer.x, layer.a.t()), layer.b.t(), 1, layer.scale);
  const at::Tensor da = at::mm(at::mm(layer.dy, layer.b).t(), layer.x).mul_(layer.scale);
  const at::Tensor db = at::mm(layer.dy.t(), at::mm(layer.x, layer.a.t())).mul_(layer.scale);
  at::Tensor dx = at::mm(layer.dy, layer.w);
  dx.addmm_(at::mm(layer.dy, layer.b), layer.a, 1, layer.scale);
  return {y, dx, da, db};
}

Results in_place(const Layer& layer) {
  const at::NoGradGuard by_hand;
  const double kept = 1 - layer.dropout;
  at::Tensor mask, dropped = layer.x;
  if (layer.dropout > 0) {
    mask = at::empty_like(layer.x, at::kBool).bernoulli_(kept);
    dropped = (layer.x * mask).div_(kept);
  }
  at::Tensor y = at::mm(layer.x, layer.w.t());
  const at::Tensor s = at::mm(dropped, layer.a.t());
  y.addmm_(s, layer.b.t(), 1, layer.scale);
  const at::Tensor ds = at::mm(layer.dy, layer.b).mul_(layer.scale);
  const at::Tensor db = at::mm(layer.dy.t(), s).mul_(layer.scale), da = at::mm(ds.t(), dropped);
  at::Tensor dx = at::mm(layer.dy, layer.w);
  if (mask.defined()) {
    dx.add_(at::mm(ds, layer.a).mul_(mask), 1 / kept);
  } else {
    dx.addmm_(ds, layer.a);
  }
  return {y, dx, da, db};
}

/// [rows, columns] of the factors of the op's mask.
at::Tensor mask_of(const BorderedWeight& weight, int64_t rows, int64_t columns) {
  const kernels::DropoutMask mask = dropout_mask(weight.pairs[0], kKey);
  at::Tensor factors = torch::empty({rows, columns});
  float* to = factors.mutable_data_ptr<float>();
  for (int64_t at = 0; at < rows * columns; ++at) {
    const auto row = static_cast<uint32_t>(at / columns);
    const auto column = static_cast<uint32_t>(at % columns);
    const bool kept = mask.keeps(row, column);
    to[at] = kept ? static_cast<float>(mask.kept) : 0.0f;
  }
  return factors;
}

/// The largest error of ours over that of peft's order, both against double precision.
double worst_error(const Layer& layer, const BorderedWeight& weight) {
  const at::Tensor mask = mask_of(weight, layer.x.size(0), layer.x.size(1)).to(layer.x.device());
  const Results fused = ours(layer, weight),
                naive = peft(layer, at::kBFloat16, mask.to(at::kBFloat16));
  const Results exact = peft(layer.to(at::kDouble), at::kDouble, mask.to(at::kDouble));
  double worst = 0;
  for (at::Tensor Results::*tensor : {&Results::y, &Results::dx, &Results::da, &Results::db}) {
    const auto error = [&](const Results& results) {
      return (results.*tensor).to(at::kDouble).sub(exact.*tensor).norm().item<double>();
    };
    const double ratio = error(fused) / error(naive);
    worst = std::isnan(ratio) || ratio > worst ? ratio : worst;
  }
  return worst;
}

bool check(int64_t rank, double dropout, at::Device device) {
  const Layer layer = random_layer({331, 512, 776, rank, dropout}, device);
  const double error = worst_error(layer, bordered(layer));
  const bool ok = error <= 2;
  std::printf("check    error %.2f x that of peft's order   %s\n", error, ok ? "ok" : "TOO LARGE");
  return ok;
}

/// Milliseconds of each, in turn.
Times time_all(std::vector<Contender> contenders, at::Device device) {
  const int runs = device.is_cuda() ? kRunsOfGpu : 1;
  for (Contender& contender : contenders) {
    contender.run = [run = contender.run, runs, device] {
      for (int i = 0; i < runs; ++i) run();
      if (device.is_cuda()) torch::cuda::synchronize();
    };
  }
  int rounds = kMostRounds;
  if (device.is_cuda()) {  // all of them take about twice as long as the frozen layer
    const double frozen = time_in_turn({contenders[0]}, 1)[0][0];
    const double round = 2 * frozen * static_cast<double>(contenders.size());
    rounds = static_cast<int>(std::clamp(kTimeOfGpu / round, 5.0, double{kMostRounds}));
  }
  Times times = time_in_turn(contenders, rounds);
  for (auto& of_one : times) {
    for (double& time : of_one) time /= runs;
  }
  return times;
}

/// What the layer must be. Without limits it always is.
struct Limits {
  double frozen = HUGE_VAL;  ///< ours at most so many times as long
  double peft = 0;           ///< peft at least so many times as long as ours
};

bool compare(const Sizes& sizes, at::Device device, const Limits& limits, ResultFile& results) {
  const auto [rows, in, out, rank, dropout] = sizes;
  std::printf("\nrows %ld  in %ld  out %ld  rank %ld  dropout %g\n", rows, in, out, rank, dropout);
  const Layer layer = random_layer(sizes, device);
  const BorderedWeight adapted = bordered(layer);
  BorderedWeight bare = adapted;
  bare.pairs.clear();
  const std::vector<Contender> contenders = {{"frozen", [&] { frozen(layer, bare); }},
                                             {"ours", [&] { ours(layer, adapted); }},
                                             {"peft", [&] { peft(layer, at::kFloat, {}); }},
                                             {"peft bf16", [&] { peft(layer, at::kBFloat16, {}); }},
                                             {"unsloth", [&] { unsloth(layer); }},
                                             {"in place", [&] { in_place(layer); }}};
  const Times times = time_all(contenders, device);
  const auto rounds = static_cast<int>(times[0].size());
  std::printf("%-12s %3s  %9s %9s %9s  %8s %8s\n", "milliseconds", "n", "median", "p20", "p80",
              "/ frozen", "/ ours");
  for (size_t i = 0; i < contenders.size(); ++i) {
    const Spread spread = spread_of(times[i]);
    std::printf("%-12s %3d  %9.2f %9.2f %9.2f  %8.3f %8.3f\n", contenders[i].name.c_str(), rounds,
                spread.median, spread.p20, spread.p80, ratio_of(times, i, 0),
                ratio_of(times, i, 1));
    results.append({.kernel = "adapted_linear",
                    .variant = contenders[i].name,
                    .rows = rows,
                    .in = in,
                    .out = out,
                    .rank = rank,
                    .dropout = dropout,
                    .runs = rounds,
                    .milliseconds = spread});
  }
  const double over_frozen = ratio_of(times, 1, 0), peft_over_ours = ratio_of(times, 2, 1);
  const bool met = over_frozen <= limits.frozen && peft_over_ours >= limits.peft;
  if (!met) {
    std::printf("MISSED   at most %g x frozen and peft at least %g x ours\n", limits.frozen,
                limits.peft);
  }
  return met;
}

struct Options {
  at::Device device = at::kCPU;
  std::string results = "benchmarks/results";
  Limits limits;
  AdaptedLayers layers;
};

Options read_options(int argc, char** argv) {
  Options options;
  std::vector<std::string> numbers;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (!name.starts_with("--")) {
      numbers.push_back(name);
      continue;
    }
    require(i + 1 < argc, "adapted_linear: ", name, " needs a value");
    const std::string value = argv[++i];
    if (name == "--results") {
      options.results = value;
    } else if (name == "--require") {
      require(i + 1 < argc, "adapted_linear: --require needs two values");
      options.limits = {std::stod(value), std::stod(argv[++i])};
    } else {
      require(name == "--device" && (value == "cpu" || value == "cuda"),
              "adapted_linear: --device cpu or cuda, got ", name, " ", value);
      options.device = at::Device(value);
    }
  }
  options.layers =
      read_layers(numbers, {8, 0.1, {{2048, 1024, 1024}, {2048, 1024, 2752}, {1024, 4096, 4096}}});
  return options;
}

/// Whether everything is as it must be.
bool run(const Options& options) {
  const char* gpu = std::getenv("RADGPT_DEVICE");
  const std::string name = options.device.is_cpu() ? processor_name()
                           : gpu != nullptr        ? gpu
                                                   : "GPU";
  const auto& [rank, dropout, shapes] = options.layers;
  ResultFile results(options.results, name);
  std::printf("device   %s   threads %d   bf16 forward + backward\n", name.c_str(),
              at::get_num_threads());
  if (!check(rank, dropout, options.device)) return false;
  bool met = true;
  for (const auto& [rows, in, out] : shapes) {
    met &= compare({rows, in, out, rank, dropout}, options.device, options.limits, results);
  }
  return met;
}

}  // namespace
}  // namespace radgpt

int main(int argc, char** argv) {
  try {
    return radgpt::run(radgpt::read_options(argc, argv)) ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 2;
  }
}
