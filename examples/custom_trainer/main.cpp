// A training loop of one's own, with the parts that `radgpt train` is made of:
//
//   custom_trainer                       a made-up tiny base and reports, in seconds;
//                                        leaves ./custom_trainer_example
//   custom_trainer BASE REPORTS ADAPTER  your base (a folder) and reports (JSONL); leaves ADAPTER
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <iostream>

#include "libradgpt/base/error.h"
#include "libradgpt/data/example.h"
#include "libradgpt/data/report_reader.h"
#include "libradgpt/data/sampler.h"
#include "libradgpt/data/simulate.h"
#include "libradgpt/data/tokenizer_training.h"
#include "libradgpt/distributed/ordered_sum.h"
#include "libradgpt/generate/generate.h"
#include "libradgpt/heads/causal_lm.h"
#include "libradgpt/lora/adapter.h"
#include "libradgpt/optim/adamw.h"
#include "libradgpt/optim/learning_rate.h"

namespace {

using namespace radgpt;

constexpr int64_t kSteps = 20;
constexpr int32_t kPacksPerStep = 2, kPackTokens = 2048;
constexpr uint64_t kSeed = 1;

struct Files {
  std::string base;
  std::string reports;
  std::string adapter;
};

/// Each report with the four RadGPT tasks, as ids. All of them are learnt: to hold patients out,
/// let read_corpus (libradgpt/data/corpus.h) do this.
TokenDataset read_examples(const std::string& path, const Tokenizer& tokenizer) {
  const std::vector<Report> reports = read_reports({.path = path}).reports;
  return tokenize_examples(make_examples(reports, default_tasks()), reports, tokenizer,
                           {.max_tokens = kPackTokens, .too_long = TooLong::kShortenContext});
}

void train(const Files& files) {
  const Tokenizer tokenizer = Tokenizer::load(files.base + "/tokenizer.model");
  const TokenDataset dataset = read_examples(files.reports, tokenizer);
  Sampler sampler(dataset, {.pack_tokens = kPackTokens, .seed = kSeed}, kPacksPerStep);

  const auto model = Baichuan::load(files.base, native_options());
  ParameterStore store;  // everything that is trained, in one flat buffer
  Adapter adapter(*model, {.rank = 8, .alpha = 16, .dropout = 0.05, .targets = {"all"}}, store);
  store.allocate(model->device());
  adapter.attach(kSeed);
  const CausalLmHead head({*model});
  AdamW optimizer(store, {});
  const LearningRate learning_rate(Schedule::kCosine, 0.01, 0.1, kSteps);

  for (int64_t step = 0; step < kSteps; ++step) {
    const std::vector<Pack> packs = sampler.next();
    double targets = 0, loss = 0;
    for (const Pack& pack : packs) targets += head.weight(pack);

    // The mean over all targets of the step, however they are spread over its packs; and a sum in
    // an order that does not depend on who computes which pack.
    OrderedSum gradient;
    for (size_t index = 0; index < packs.size(); ++index) {
      const Pack& pack = packs[index];
      const DropoutKey key{.seed = kSeed,
                           .step = static_cast<uint64_t>(step),
                           .pack = static_cast<uint32_t>(index),
                           .active = true};
      store.flat_gradient().zero_();
      const at::Tensor hidden = model->forward(pack, key, head.rows(pack));
      const HeadOutput output = head.forward(hidden, pack, targets);
      output.loss.backward();
      gradient.add(store.flat_gradient());
      loss += output.loss_sum / targets;
    }
    gradient.finish(store.flat_gradient());

    const double norm = gradient_norm(store.flat_gradient());
    optimizer.step(learning_rate.at(step), std::min(1.0, 1.0 / norm));  // clipped to a norm of 1
    std::cout << "step " << step + 1 << " of " << kSteps << "  loss " << loss << "\n";
  }
  adapter.save(files.adapter, files.base);
}

/// The answer to the first question about the first report.
std::string answer(const Files& files) {
  const Tokenizer tokenizer = Tokenizer::load(files.base + "/tokenizer.model");
  const auto model = Baichuan::load(files.base, native_options());
  ParameterStore store;
  const auto adapter = load_adapter(*model, files.adapter, store);
  const std::vector<int32_t> prompt = read_examples(files.reports, tokenizer).prompt(0);
  return tokenizer.decode(generate(*model, {prompt}, {.max_new_tokens = 32}).front().ids);
}

/// Made-up reports, and a fresh base with a tokenizer learnt from them.
Files make_example() {
  const std::string folder = "custom_trainer_example";
  const Files files{folder + "/base", folder + "/reports.jsonl", folder + "/adapter"};
  write_simulated_reports(folder, 100, kSeed);
  std::vector<std::string> texts;
  for (const Report& report : read_reports({.path = files.reports}).reports) {
    for (const auto& [name, text] : report.texts) texts.push_back(text);
  }
  const Tokenizer tokenizer = train_tokenizer(texts, 1800);
  Baichuan base({.vocab_size = tokenizer.size(),
                 .hidden_size = 64,
                 .intermediate_size = 128,
                 .num_hidden_layers = 2,
                 .num_attention_heads = 4,
                 .model_max_length = kPackTokens,
                 .position = PositionKind::kAlibi},
                native_options());
  base.initialise(kSeed);
  base.save(files.base);
  tokenizer.save(files.base + "/tokenizer.model");
  return files;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 1 && argc != 4) {
    std::cerr << "usage: custom_trainer [BASE REPORTS ADAPTER]\n";
    return 2;
  }
  try {
    const Files files = argc == 4 ? Files{argv[1], argv[2], argv[3]} : make_example();
    train(files);
    std::cout << "adapter in " << files.adapter << "; it answers: " << answer(files) << "\n";
  } catch (const Error& error) {
    std::cerr << "error: " << error.what() << "\n";
    return error.exit_code();
  }
}
