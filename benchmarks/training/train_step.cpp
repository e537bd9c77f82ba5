// Times training steps of a LoRA adapter on the four-task data of a recipe: tokens, targets and
// examples a second, peak memory, and the share of the rate at which this machine multiplies
// matrices of the model's shapes:
//
//   train_step RECIPE STEPS EXAMPLES_FILE [vocabulary=N] [field=value …]
//
// The examples are left in EXAMPLES_FILE as ids for benchmarks/peers/hf_peft.py. A model with
// random weights may have a larger vocabulary than the tokenizer: what the head costs depends on
// it.

#include <c10/core/CachingDeviceAllocator.h>
#include <sys/resource.h>
#include <torch/cuda.h>
#include <torch/types.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>

#include "libradgpt/base/error.h"
#include "libradgpt/config/recipe_file.h"
#include "libradgpt/data/sampler.h"
#include "libradgpt/heads/head.h"
#include "libradgpt/lora/adapter.h"
#include "libradgpt/optim/adamw.h"
#include "libradgpt/record/manifest.h"
#include "libradgpt/train/assembly.h"
#include "libradgpt/train/options.h"

namespace radgpt {
namespace {

double seconds_of(const std::function<void()>& work, at::Device device) {
  const auto start = std::chrono::steady_clock::now();
  work();
  if (device.is_cuda()) torch::cuda::synchronize();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Of the process, or of the tensors on a GPU.
double peak_memory_gib(at::Device device) {
  if (device.is_cuda()) {
    const auto stats = at::getDeviceAllocator(device.type())->getDeviceStats(0);
    return static_cast<double>(stats.allocated_bytes[0].peak) / (1 << 30);  // 0: of all kinds
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / (1 << 20);
}

/// Best of five products of the MLP's shape, in floating-point operations a second.
double measure_gemm_rate(const ModelConfig& config, int64_t rows,
                         const at::TensorOptions& options) {
  const at::NoGradGuard no_grad;
  const at::Tensor x = at::randn({rows, config.hidden_size}, options);
  const at::Tensor w = at::randn({2 * config.intermediate_size, config.hidden_size}, options);
  at::Tensor y = at::mm(x, w.t());
  double best = 1e9;
  for (int run = 0; run < 5; ++run) {
    best = std::min(best, seconds_of([&] { y = at::mm(x, w.t()); }, x.device()));
  }
  return 2.0 * static_cast<double>(rows) * static_cast<double>(w.numel()) / best;
}

/// Products of a step with a frozen base: forward and input gradient of every linear for every
/// token, and of the head for every target. Adapters and attention are left out (about 3 %).
double step_operations(const ModelConfig& config, int64_t tokens, int64_t targets) {
  const double layer = 4.0 * config.hidden_size * config.hidden_size +
                       3.0 * config.hidden_size * config.intermediate_size;
  const double linears = layer * config.num_hidden_layers;
  const double head = static_cast<double>(config.vocab_size) * config.hidden_size;
  return 4.0 * (linears * tokens + head * targets);
}

void write_examples(const std::string& path, const TokenDataset& dataset,
                    const std::vector<Pack>& packs) {
  std::ofstream file(path);
  for (const Pack& pack : packs) {
    for (const PackedExample& packed : pack.examples) {
      const TokenExample& example = dataset.examples[packed.example];
      std::vector<int32_t> ids = dataset.prefix(packed.example);
      std::vector<int32_t> targets(ids.size(), kNoTarget);
      ids.insert(ids.end(), example.branch.begin(), example.branch.end());
      targets.insert(targets.end(), example.targets.begin(), example.targets.end());
      file << nlohmann::json{{"ids", ids}, {"targets", targets}}.dump() << "\n";
    }
  }
}

struct Totals {
  int64_t tokens = 0;
  int64_t targets = 0;
  int64_t examples = 0;
  double seconds = 0;
  double loss = 0;
};

/// One step: forward and backward of the packs, AdamW. Adds to `totals`.
void train_step(const Baichuan& model, const Head& head, ParameterStore& store, AdamW& optimizer,
                const std::vector<Pack>& packs, Totals& totals) {
  totals.seconds += seconds_of(
      [&] {
        int64_t terms = 0;
        for (const Pack& pack : packs) terms += head.terms(pack);
        store.flat_gradient().zero_();
        for (const Pack& pack : packs) {
          const at::Tensor hidden = model.forward(pack, DropoutKey{1, 1, 0, true}, head.rows(pack));
          const HeadOutput output = head.forward(hidden, pack, static_cast<double>(terms));
          output.loss.backward();
          totals.loss = output.loss_sum / static_cast<double>(terms);
        }
        optimizer.step(1e-4, 1.0);
        totals.targets += terms;
      },
      model.device());
  for (const Pack& pack : packs) {
    totals.tokens += pack.size();
    totals.examples += static_cast<int64_t>(pack.examples.size());
  }
}

void print(const Totals& totals, const Baichuan& model, double gemm_rate) {
  const ModelConfig& config = model.config();
  const double rate = step_operations(config, totals.tokens, totals.targets) / totals.seconds;
  std::printf("examples %lld   tokens %lld   targets %lld   seconds %.2f   last loss %.3f\n",
              static_cast<long long>(totals.examples), static_cast<long long>(totals.tokens),
              static_cast<long long>(totals.targets), totals.seconds, totals.loss);
  std::printf("examples/s %.2f   tokens/s %.0f   targets/s %.0f\n",
              static_cast<double>(totals.examples) / totals.seconds,
              static_cast<double>(totals.tokens) / totals.seconds,
              static_cast<double>(totals.targets) / totals.seconds);
  std::printf("GFLOP/s %.0f of %.0f measured for a product of the MLP's shape: %.0f %%\n",
              rate / 1e9, gemm_rate / 1e9, 100.0 * rate / gemm_rate);
  std::printf("peak memory %.2f GiB\n", peak_memory_gib(model.device()));
}

/// The recipe's model; with random weights and a vocabulary of so many ids unless that is 0.
std::unique_ptr<Baichuan> make_model(const Recipe& recipe, const Tokenizer& tokenizer,
                                     int64_t vocabulary) {
  std::unique_ptr<Baichuan> model = make_model(recipe, tokenizer);
  if (vocabulary == 0) return model;
  ModelConfig config = model->config();
  require(recipe.model.path.empty() && vocabulary >= config.vocab_size,
          "vocabulary: needs random weights and at least the tokenizer's ", config.vocab_size,
          " pieces, got ", vocabulary);
  config.vocab_size = vocabulary;
  model = std::make_unique<Baichuan>(config, model->options());
  model->initialise(static_cast<uint64_t>(recipe.train.seed));
  return model;
}

void run(int argc, char** argv) {
  require(argc >= 4, "usage: train_step RECIPE STEPS EXAMPLES_FILE [vocabulary=N] [field=value …]");
  const int64_t steps = std::stoll(argv[2]);
  const std::string kVocabulary = "vocabulary=";
  int first_field = 4;
  int64_t vocabulary = 0;
  if (argc > 4 && std::string(argv[4]).starts_with(kVocabulary)) {
    vocabulary = std::stoll(argv[first_field++] + kVocabulary.size());
  }
  const Recipe recipe = read_recipe(argv[1], {argv + first_field, argv + argc});
  const int threads = set_threads(recipe);
  const Corpus corpus = read_corpus(corpus_options(recipe));
  const Tokenizer tokenizer = make_tokenizer(recipe, corpus);
  const TokenDataset dataset =
      tokenize(corpus.part(Split::kTrain), tokenizer, length_options(recipe));
  const std::unique_ptr<Baichuan> model = make_model(recipe, tokenizer, vocabulary);
  ParameterStore store;
  Adapter adapter(*model, lora_options(recipe), store);
  store.allocate();
  adapter.attach(1);
  const std::unique_ptr<Head> head = make_head("causal_lm", {*model});
  AdamW optimizer(store, optimizer_options(recipe));
  Sampler sampler(dataset, packing_options(recipe),
                  static_cast<int32_t>(recipe.train.packs_per_step));

  const double gemm_rate =
      measure_gemm_rate(model->config(), recipe.train.pack_tokens, model->options());
  std::printf("device   %s   %s   threads %d   type %s\n", model->device().str().c_str(),
              processor_name().c_str(), threads, c10::toString(model->type()));
  std::printf("model    hidden %lld   layers %d   vocabulary %lld   trained %lld\n",
              static_cast<long long>(model->config().hidden_size), model->layers(),
              static_cast<long long>(model->config().vocab_size),
              static_cast<long long>(store.numel()));
  Totals warm_up;
  train_step(*model, *head, store, optimizer, sampler.next(), warm_up);
  Totals totals;
  std::vector<Pack> written;
  for (int64_t step = 0; step < steps; ++step) {
    const std::vector<Pack> packs = sampler.next();
    written.insert(written.end(), packs.begin(), packs.end());
    train_step(*model, *head, store, optimizer, packs, totals);
  }
  print(totals, *model, gemm_rate);
  write_examples(argv[3], dataset, written);
}

}  // namespace
}  // namespace radgpt

int main(int argc, char** argv) {
  try {
    radgpt::run(argc, argv);
    return 0;
  } catch (const radgpt::Error& error) {
    std::cerr << "error: " << error.what() << "\n";
    return error.exit_code();
  }
}
