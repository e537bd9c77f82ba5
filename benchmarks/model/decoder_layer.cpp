// Forward and backward of one decoder layer in bf16, frozen and with LoRA on all its linears:
//
//   decoder_layer cpu|cuda RESULTS_FOLDER [RANK DROPOUT [TOKENS HIDDEN INTERMEDIATE]...]
//
// The layer is the second of a model of two, less the time of a model of one: so its backward pass
// is whole, as in the middle of a model, and embedding and last norm do not count. Tokens are a
// pack of segments of 1024, heads 128 wide. Medians are appended to RESULTS_FOLDER/DEVICE.csv;
// RADGPT_DEVICE of the environment names a GPU, RADGPT_COMMIT the commit.

#include <torch/cuda.h>
#include <torch/types.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "benchmarks/kernels/adapted_layers.h"
#include "benchmarks/kernels/interleaved.h"
#include "benchmarks/kernels/result_rows.h"
#include "libradgpt/lora/adapter.h"
#include "libradgpt/record/manifest.h"

namespace radgpt {
namespace {

constexpr int kRounds = 11;
constexpr int64_t kHeadDim = 128, kSegment = 1024, kVocabulary = 64;

Pack pack_of(int64_t tokens) {
  Pack pack;
  for (int64_t token = 0; token < tokens; ++token) {
    pack.tokens.push_back(token % kVocabulary);
    pack.positions.push_back(token % kSegment);
  }
  for (int64_t begin = 0; begin < tokens; begin += kSegment) {
    const int64_t end = std::min(tokens, begin + kSegment);
    pack.segments.push_back({static_cast<int32_t>(begin), static_cast<int32_t>(end), 0, 0});
  }
  return pack;
}

enum class LastLayer { kFrozen, kAdapted };

/// A model of so many layers with adapters, which its last layer may be without.
class TimedModel {
 public:
  TimedModel(const ModelConfig& config, const LoraOptions& lora, at::Device device)
      : model_(config, at::TensorOptions(device).dtype(at::kBFloat16)),
        adapter_(model_, lora, store_) {
    model_.initialise(1);
    store_.allocate();
    adapter_.attach(1);
    for (BorderedWeight* linear : last_layer()) pairs_.push_back(linear->pairs);
  }
  void run(const Pack& pack, const at::Tensor& gradient, LastLayer last) {
    const std::vector<BorderedWeight*> linears = last_layer();
    for (size_t i = 0; i < linears.size(); ++i) {
      linears[i]->pairs = last == LastLayer::kAdapted ? pairs_[i] : std::vector<LoraPair>{};
    }
    model_.forward(pack, DropoutKey{1, 2, 3, true}).backward(gradient);
    if (model_.device().is_cuda()) torch::cuda::synchronize();
  }

 private:
  std::vector<BorderedWeight*> last_layer() {
    const int last = model_.layers() - 1;
    return {&model_.linear(last, LinearKind::kPackedQkv),
            &model_.linear(last, LinearKind::kAttentionOutput),
            &model_.linear(last, LinearKind::kGateUp), &model_.linear(last, LinearKind::kDown)};
  }

  Baichuan model_;
  ParameterStore store_;
  Adapter adapter_;
  std::vector<std::vector<LoraPair>> pairs_;
};

void measure(const AdaptedLayers& layers, const LayerShape& shape, at::Device device,
             ResultFile& results) {
  const auto [tokens, hidden, intermediate] = shape;
  require(hidden > 0 && hidden % kHeadDim == 0,
          "decoder_layer: HIDDEN must be a multiple of 128, got ", hidden);
  ModelConfig two{.vocab_size = kVocabulary,
                  .hidden_size = hidden,
                  .intermediate_size = intermediate,
                  .num_hidden_layers = 2,
                  .num_attention_heads = hidden / kHeadDim};
  ModelConfig one = two;
  one.num_hidden_layers = 1;
  const LoraOptions lora{.rank = layers.rank,
                         .alpha = 2.0 * static_cast<double>(layers.rank),
                         .dropout = layers.dropout,
                         .targets = {"all"}};
  TimedModel below(one, lora, device), both(two, lora, device);
  const Pack pack = pack_of(tokens);
  const at::Tensor gradient = torch::randn({tokens, hidden}, device).to(at::kBFloat16);
  const Times times =
      time_in_turn({{"below", [&] { below.run(pack, gradient, LastLayer::kAdapted); }},
                    {"frozen", [&] { both.run(pack, gradient, LastLayer::kFrozen); }},
                    {"ours", [&] { both.run(pack, gradient, LastLayer::kAdapted); }}},
                   kRounds);
  std::printf("\ntokens %ld  hidden %ld  intermediate %ld  rank %ld  dropout %g\n", tokens, hidden,
              intermediate, layers.rank, layers.dropout);
  std::array<double, 2> medians{};
  for (size_t i = 0; i < 2; ++i) {
    const std::string name = i == 0 ? "frozen" : "ours";
    std::vector<double> layer = times[i + 1];
    for (size_t round = 0; round < layer.size(); ++round) layer[round] -= times[0][round];
    const Spread spread = spread_of(layer);
    medians[i] = spread.median;
    std::printf("%-8s %3d  median %9.2f ms   p20 %9.2f   p80 %9.2f   / frozen %6.3f\n",
                name.c_str(), kRounds, spread.median, spread.p20, spread.p80,
                spread.median / medians[0]);
    results.append({.kernel = "decoder_layer",
                    .variant = name,
                    .rows = tokens,
                    .in = hidden,
                    .out = intermediate,
                    .rank = layers.rank,
                    .dropout = layers.dropout,
                    .runs = kRounds,
                    .milliseconds = spread});
  }
}

void run(int argc, char** argv) {
  const std::string where = argc > 1 ? argv[1] : "";
  require(argc >= 3 && (where == "cpu" || where == "cuda"),
          "usage: decoder_layer cpu|cuda RESULTS_FOLDER [RANK DROPOUT [TOKENS HIDDEN "
          "INTERMEDIATE]...]");
  const AdaptedLayers layers = read_layers({argv + 3, argv + argc}, {8, 0.1, {{2048, 1024, 2752}}});
  const char* gpu = std::getenv("RADGPT_DEVICE");
  const std::string name = where == "cpu" ? processor_name() : gpu != nullptr ? gpu : "GPU";
  ResultFile results(argv[2], name);
  std::printf("device   %s   one decoder layer, bf16 forward + backward\n", name.c_str());
  for (const LayerShape& shape : layers.shapes) measure(layers, shape, at::Device(where), results);
}

}  // namespace
}  // namespace radgpt

int main(int argc, char** argv) {
  try {
    radgpt::run(argc, argv);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 2;
  }
}
