// Forward and backward of one linear layer with a LoRA adapter, in bf16, beside the frozen layer
// and beside other orders of the same operations:
//
//   adapted_linear [--device cpu|cuda] [--results FOLDER] [RANK DROPOUT [ROWS IN OUT]...]
//
//   frozen        y = x W^T and dX: the least that the layer can cost
//   ours          the composite op: one product a pass, the adapter's part in the kernels
//   peft          peft's operations under autograd as its users get them: adapters, and therefore
//                 the input of A and the sum of both parts, in fp32 (autocast_adapter_dtype)
//   peft bf16     the same with adapters in bf16
//   unsloth       Unsloth's products: S and dY B twice, sums into y and dX; it has no dropout
//   in place      S and dS once, kept; sums into y and dX; masks kept as bytes
//
// All run in turn; ratios are medians of the rounds' ratios. Results are checked first: ours must
// be at most twice as far from double precision as peft's order in bf16 with the same mask. Medians
// are appended to FOLDER/DEVICE.csv, benchmarks/results by default; RADGPT_DEVICE of the
// environment names a GPU, RADGPT_COMMIT the commit.

#include <ATen/Parallel.h>
#include <torch/cuda.h>
#include <torch/types.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "benchmarks/kernels/interleaved.h"
#include "benchmarks/kernels/result_rows.h"
#include "libradgpt/base/error.h"
#include "libradgpt/ops/dropout_mask.h"
#include "libradgpt/ops/lora_linear.h"
#include "libradgpt/record/manifest.h"

namespace radgpt {
namespace {

constexpr int kRounds = 25;
/// On a GPU a round is so many runs, so that the host is ahead of it.
constexpr int kRunsOfGpu = 10;

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
  Layer layer{torch::randn({rows, in}),
              torch::randn({out, in}) * size,
              torch::randn({rank, in}) * size,
              torch::randn({out, rank}) * size,
              torch::randn({rows, out}),
              2.0,
              dropout};
  for (at::Tensor Layer::*tensor : {&Layer::x, &Layer::w, &Layer::a, &Layer::b, &Layer::dy}) {
    layer.*tensor = (layer.*tensor).to(device);
  }
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
    const bool kept = mask.words(column / 4, row)[column % 4] >= mask.threshold;
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
    worst = std::max(worst, error(fused) / error(naive));
  }
  return worst;
}

/// Milliseconds of each, in turn.
Times time_all(std::vector<Contender> contenders, at::Device device) {
  if (!device.is_cuda()) return time_in_turn(contenders, kRounds);
  for (Contender& contender : contenders) {
    contender.run = [run = contender.run] {
      for (int i = 0; i < kRunsOfGpu; ++i) run();
      torch::cuda::synchronize();
    };
  }
  Times times = time_in_turn(contenders, kRounds);
  for (auto& of_one : times) {
    for (double& time : of_one) time /= kRunsOfGpu;
  }
  return times;
}

void compare(const Sizes& sizes, at::Device device, ResultFile& results) {
  const auto [rows, in, out, rank, dropout] = sizes;
  std::printf("\nrows %ld  in %ld  out %ld  rank %ld  dropout %g\n", rows, in, out, rank, dropout);
  const Layer layer = random_layer(sizes, device);
  const BorderedWeight adapted = bordered(layer);
  BorderedWeight bare = adapted;
  bare.pairs.clear();
  const double error = worst_error(layer, adapted);
  std::printf("check    error %.2f x that of peft's order   %s\n", error,
              error <= 2 ? "ok" : "TOO LARGE");
  require(error <= 2, "adapted_linear: the result is too far from double precision");
  const std::vector<Contender> contenders = {{"frozen", [&] { frozen(layer, bare); }},
                                             {"ours", [&] { ours(layer, adapted); }},
                                             {"peft", [&] { peft(layer, at::kFloat, {}); }},
                                             {"peft bf16", [&] { peft(layer, at::kBFloat16, {}); }},
                                             {"unsloth", [&] { unsloth(layer); }},
                                             {"in place", [&] { in_place(layer); }}};
  const Times times = time_all(contenders, device);
  std::printf("%-12s %3s  %9s %9s %9s  %8s %8s\n", "milliseconds", "n", "median", "p20", "p80",
              "/ frozen", "/ ours");
  for (size_t i = 0; i < contenders.size(); ++i) {
    const Spread spread = spread_of(times[i]);
    std::printf("%-12s %3d  %9.2f %9.2f %9.2f  %8.3f %8.3f\n", contenders[i].name.c_str(), kRounds,
                spread.median, spread.p20, spread.p80, ratio_of(times, i, 0),
                ratio_of(times, i, 1));
    results.append({.kernel = "adapted_linear",
                    .variant = contenders[i].name,
                    .rows = rows,
                    .in = in,
                    .out = out,
                    .rank = rank,
                    .dropout = dropout,
                    .runs = kRounds,
                    .milliseconds = spread});
  }
}

struct Options {
  at::Device device = at::kCPU;
  std::string results = "benchmarks/results";
  std::vector<std::string> sizes;  ///< RANK DROPOUT [ROWS IN OUT]...
};

Options read_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (!name.starts_with("--")) {
      options.sizes.push_back(name);
      continue;
    }
    require(i + 1 < argc, "adapted_linear: ", name, " needs a value");
    const std::string value = argv[++i];
    if (name == "--results") {
      options.results = value;
    } else {
      require(name == "--device" && (value == "cpu" || value == "cuda"),
              "adapted_linear: --device cpu or cuda, got ", name, " ", value);
      options.device = at::Device(value);
    }
  }
  return options;
}

void run(const Options& options) {
  const char* gpu = std::getenv("RADGPT_DEVICE");
  const std::string name = options.device.is_cpu() ? processor_name()
                           : gpu != nullptr        ? gpu
                                                   : "GPU";
  const std::vector<std::string>& sizes = options.sizes;
  const int64_t rank = !sizes.empty() ? std::stoll(sizes[0]) : 8;
  const double dropout = sizes.size() > 1 ? std::stod(sizes[1]) : 0.1;
  std::vector<std::array<int64_t, 3>> shapes;
  for (size_t i = 2; i + 2 < sizes.size(); i += 3) {
    shapes.push_back({std::stoll(sizes[i]), std::stoll(sizes[i + 1]), std::stoll(sizes[i + 2])});
  }
  if (shapes.empty()) shapes = {{2048, 1024, 1024}, {2048, 1024, 2752}, {1024, 4096, 4096}};
  ResultFile results(options.results, name);
  std::printf("device   %s   threads %d   bf16 forward + backward\n", name.c_str(),
              at::get_num_threads());
  for (const auto& [rows, in, out] : shapes) {
    compare({rows, in, out, rank, dropout}, options.device, results);
  }
}

}  // namespace
}  // namespace radgpt

int main(int argc, char** argv) {
  try {
    radgpt::run(radgpt::read_options(argc, argv));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
