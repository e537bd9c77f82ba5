#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "libradgpt/base/error.h"
#include "libradgpt/config/memory_plan.h"
#include "libradgpt/config/recipe_file.h"
#include "libradgpt/data/length_table.h"
#include "libradgpt/distributed/step_time.h"
#include "libradgpt/train/assembly.h"
#include "libradgpt/train/options.h"
#include "recipes/radgpt/verbs.h"

namespace radgpt {
namespace {

constexpr double kMebibyte = 1 << 20;

/// Ranks and what they are assumed to reach.
struct Cluster {
  int ranks = 1;
  double teraflops = 300;    ///< a rank, in the products of a pack
  double gigabytes = 25;     ///< a second that a rank sends while it receives as many
  double microseconds = 20;  ///< for a small message
};

/// The shape of the base: of its config.json, or of the recipe for a random one.
ModelConfig model_config(const Recipe& recipe, const Tokenizer& tokenizer) {
  if (!recipe.model.path.empty()) return read_model_config(recipe.model.path + "/config.json");
  ModelConfig config;
  config.vocab_size = tokenizer.size();
  config.hidden_size = recipe.model.hidden_size;
  config.intermediate_size = recipe.model.intermediate_size;
  config.num_hidden_layers = recipe.model.layers;
  config.num_attention_heads = recipe.model.heads;
  config.model_max_length = recipe.model.max_length;
  return config;
}

void print_row(const MemoryRow& row) {
  std::printf("  %-16s %12.1f MiB   %s\n", row.what.c_str(),
              static_cast<double>(row.bytes) / kMebibyte, row.how.c_str());
}

void print_memory(const Recipe& recipe, const ModelConfig& model, int ranks) {
  const bool half = model_type(recipe) == at::kBFloat16;
  const DataType type = half ? DataType::kBF16 : DataType::kF32;
  MemoryRow training{"total", 0, "beside the data set, LibTorch and 64 MiB of logits"};
  std::printf("memory of training%s\n", ranks > 1 ? ", on each rank" : "");
  const bool sharded = recipe.distributed.base == BaseChoice::kSharded;
  for (const MemoryRow& row : training_memory(recipe, model, type, sharded ? ranks : 1)) {
    print_row(row);
    training.bytes += row.bytes;
  }
  print_row(training);
  std::printf("memory of evaluation, beside weights and border\n");
  print_row(generation_memory(recipe, model, type));
}

/// What a step takes where every rank computes at one rate, by the arithmetic of step_time.h.
void print_step_time(const Recipe& recipe, const ModelConfig& model, const EpochTokens& epoch,
                     const Cluster& cluster) {
  const double share =
      static_cast<double>(epoch.targets) / static_cast<double>(std::max<int64_t>(1, epoch.packs));
  StepWork work;
  work.pack =
      training_operations(recipe, model, recipe.train.pack_tokens, static_cast<int64_t>(share)) /
      (cluster.teraflops * 1e12);
  work.packs = recipe.train.packs_per_step;
  work.gradient_bytes = trained_parameters(recipe, model) * static_cast<int64_t>(sizeof(float));
  work.overlaps = recipe.distributed.base == BaseChoice::kReplicated;
  const Network network{cluster.gigabytes * 1e9, cluster.microseconds * 1e-6};
  const StepTime time = predict_step(work, network, cluster.ranks);
  const double alone = static_cast<double>(work.packs) * work.pack;
  std::printf("a step on %d ranks, if each reaches %g TFLOP/s, %g GB/s and %g us a message\n",
              cluster.ranks, cluster.teraflops, cluster.gigabytes, cluster.microseconds);
  const std::pair<const char*, double> rows[] = {
      {"compute", time.compute},        {"exchange", time.exchange},   {"gather", time.gather},
      {"of these hidden", time.hidden}, {"agreement", time.agreement}, {"total", time.total()}};
  for (const auto& [name, seconds] : rows) std::printf("  %-16s %12.2f ms\n", name, 1e3 * seconds);
  std::printf("  %-16s %12.1f %%   of %d times one rank\n", "efficiency",
              100 * alone / (cluster.ranks * time.total()), cluster.ranks);
}

void print_steps(const Recipe& recipe, const ModelConfig& model, const TokenDataset& dataset,
                 const Cluster& cluster) {
  require(dataset.size() > 0, recipe.file,
          ": data.sources: must give an example for training, got none");
  const EpochTokens epoch = count_epoch_tokens(dataset, packing_options(recipe));
  const int64_t packs_per_step = recipe.train.packs_per_step;
  const int64_t steps_per_epoch = (epoch.packs + packs_per_step - 1) / packs_per_step;
  const int64_t steps =
      recipe.train.steps > 0 ? recipe.train.steps : recipe.train.epochs * steps_per_epoch;
  const bool shared = recipe.train.sharing == SharingChoice::kShared;
  const int64_t tokens = shared ? epoch.shared : epoch.packed;
  const double operations = training_operations(recipe, model, tokens, epoch.targets);
  const double epochs = static_cast<double>(steps) / static_cast<double>(steps_per_epoch);
  std::printf("steps\n");
  std::printf("  %-16s %12" PRId32 "\n", "examples", dataset.size());
  std::printf("  %-16s %12" PRId64 "   an epoch\n", "tokens", tokens);
  std::printf("  %-16s %12" PRId64 "   an epoch, of those with loss\n", "targets", epoch.targets);
  std::printf("  %-16s %12" PRId64 "   an epoch, of at most %" PRId64 " tokens\n", "packs",
              epoch.packs, recipe.train.pack_tokens);
  std::printf("  %-16s %12" PRId64 "   in all, %.2f epochs\n", "steps", steps, epochs);
  std::printf("  %-16s %12.3g   floating-point operations in all\n", "work", operations * epochs);
  if (cluster.ranks > 1) print_step_time(recipe, model, epoch, cluster);
}

void plan(const Recipe& recipe, const Cluster& cluster) {
  check_paths(recipe);
  const Corpus corpus = read_corpus(corpus_options(recipe));
  const Tokenizer tokenizer = make_tokenizer(recipe, corpus);
  const ModelConfig model = model_config(recipe, tokenizer);
  std::printf("model\n  %-16s %12" PRId64 "\n", "parameters", parameter_count(model));
  print_memory(recipe, model, cluster.ranks);
  print_steps(recipe, model,
              tokenize(corpus.part(Split::kTrain), tokenizer, length_options(recipe)), cluster);
}

}  // namespace

void add_plan(CLI::App& app) {
  CLI::App* verb = app.add_subcommand(
      "plan", "print memory and number of steps, by arithmetic, before any model is loaded");
  verb->footer(
      "Reads and tokenises the reports, and of the base only config.json. With --ranks it "
      "predicts a step from what is assumed of machines and network: docs/scaling.md.");
  const auto cluster = std::make_shared<Cluster>();
  verb->add_option("--ranks", cluster->ranks, "number of ranks")->check(CLI::Range(1, 65536));
  verb->add_option("--teraflops", cluster->teraflops, "10^12 operations a second of a rank")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->add_option("--gigabytes", cluster->gigabytes, "10^9 bytes a second that a rank sends")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->add_option("--microseconds", cluster->microseconds, "10^-6 seconds of a small message")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  const auto arguments = add_recipe_arguments(*verb);
  verb->callback([arguments, cluster] { plan(arguments->read(), *cluster); });
}

}  // namespace radgpt
