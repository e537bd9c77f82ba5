#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "libradgpt/base/error.h"
#include "libradgpt/config/memory_plan.h"
#include "libradgpt/config/recipe_file.h"
#include "libradgpt/data/length_table.h"
#include "libradgpt/train/assembly.h"
#include "libradgpt/train/options.h"
#include "recipes/radgpt/verbs.h"

namespace radgpt {
namespace {

constexpr double kMebibyte = 1 << 20;

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

void print_memory(const Recipe& recipe, const ModelConfig& model) {
  const bool half = model_type(recipe) == at::kBFloat16;
  const DataType type = half ? DataType::kBF16 : DataType::kF32;
  MemoryRow training{"total", 0, "beside the data set, LibTorch and 64 MiB of logits"};
  std::printf("memory of training\n");
  for (const MemoryRow& row : training_memory(recipe, model, type)) {
    print_row(row);
    training.bytes += row.bytes;
  }
  print_row(training);
  std::printf("memory of evaluation, beside weights and border\n");
  print_row(generation_memory(recipe, model, type));
}

void print_steps(const Recipe& recipe, const ModelConfig& model, const TokenDataset& dataset) {
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
}

void plan(const Recipe& recipe) {
  check_paths(recipe);
  const Corpus corpus = read_corpus(corpus_options(recipe));
  const Tokenizer tokenizer = make_tokenizer(recipe, corpus);
  const ModelConfig model = model_config(recipe, tokenizer);
  std::printf("model\n  %-16s %12" PRId64 "\n", "parameters", parameter_count(model));
  print_memory(recipe, model);
  print_steps(recipe, model,
              tokenize(corpus.part(Split::kTrain), tokenizer, length_options(recipe)));
}

}  // namespace

void add_plan(CLI::App& app) {
  CLI::App* verb = app.add_subcommand(
      "plan", "print memory and number of steps, by arithmetic, before any model is loaded");
  verb->footer("Reads and tokenises the reports, and of the base only config.json.");
  const auto arguments = add_recipe_arguments(*verb);
  verb->callback([arguments] { plan(arguments->read()); });
}

}  // namespace radgpt
