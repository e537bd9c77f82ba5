#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <filesystem>
#include <iostream>

#include "libradgpt/base/error.h"
#include "libradgpt/data/task.h"
#include "libradgpt/data/tokenizer.h"
#include "libradgpt/lora/adapter.h"
#include "libradgpt/ops/head_cross_entropy.h"
#include "recipes/radgpt/progress.h"
#include "recipes/radgpt/verbs.h"

namespace radgpt {

namespace {

namespace fs = std::filesystem;

struct MergeArguments {
  std::string model;
  std::string adapter;
  std::string out;
};

/// Largest difference of logits that rounding the merged weights once may make, as a share of the
/// largest logit: some dozens of roundings of 2^-24, or of 2^-9.
double largest_share(at::ScalarType type) { return type == at::kFloat ? 1e-4 : 0.05; }

/// A made-up finding with each of the shipped questions: text of the kind the model is for.
std::vector<Pack> probe_prompts(const Tokenizer& tokenizer) {
  std::vector<Pack> packs;
  for (const Task& task : default_tasks()) {
    std::vector<int32_t> ids = tokenizer.encode(
        "影像所见：双肺纹理增多，右肺上叶见磨玻璃结节，大小约8mm×6mm。\n" + task.question);
    ids.insert(ids.begin(), kUserId);
    ids.push_back(kAssistantId);
    Pack pack;
    pack.tokens.assign(ids.begin(), ids.end());
    for (int64_t i = 0; i < pack.size(); ++i) pack.positions.push_back(i);
    pack.segments = {{.begin = 0, .end = static_cast<int32_t>(pack.size())}};
    packs.push_back(std::move(pack));
  }
  return packs;
}

std::vector<at::Tensor> logits_of(const Baichuan& model, const std::vector<Pack>& prompts) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> logits;
  for (const Pack& prompt : prompts) {
    logits.push_back(head_logits(model.forward(prompt, {}), model.head()));
  }
  return logits;
}

double largest(const std::vector<at::Tensor>& tensors) {
  double value = 0;
  for (const at::Tensor& one : tensors) value = std::max(value, one.abs().max().item<double>());
  return value;
}

double largest_difference(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  std::vector<at::Tensor> differences;
  for (size_t i = 0; i < a.size(); ++i) differences.push_back(a[i] - b[i]);
  return largest(differences);
}

/// What Hugging Face needs beside weights and config.json.
void copy_companions(const std::string& from, const std::string& to) {
  for (const fs::directory_entry& entry : fs::directory_iterator(from)) {
    const std::string name = entry.path().filename().string();
    const bool wanted = name == "tokenizer_config.json" || name == "special_tokens_map.json" ||
                        name == "generation_config.json" || entry.path().extension() == ".py";
    if (wanted && entry.is_regular_file()) fs::copy_file(entry.path(), fs::path(to) / name);
  }
}

void merge(const MergeArguments& arguments) {
  require(!fs::exists(arguments.out) || fs::is_empty(arguments.out), arguments.out,
          ": must be absent or an empty folder, got something");
  const ModelConfig config = read_model_config(arguments.model + "/config.json");
  const Tokenizer tokenizer = Tokenizer::load(arguments.model + "/tokenizer.model");
  const at::ScalarType type = config.dtype == DataType::kBF16 ? at::kBFloat16 : at::kFloat;
  const auto model = load_with_progress(arguments.model, type);
  ParameterStore store;
  const auto adapter = load_adapter(*model, arguments.adapter, store);
  const std::vector<Pack> prompts = probe_prompts(tokenizer);
  const std::vector<at::Tensor> adapted = logits_of(*model, prompts);
  adapter->disable();
  const std::vector<at::Tensor> base = logits_of(*model, prompts);
  adapter->merge();
  const double difference = largest_difference(logits_of(*model, prompts), adapted);
  const double bound = largest_share(type) * largest(adapted);
  std::cout << "the adapter moves logits by up to " << largest_difference(adapted, base)
            << "; merged weights differ from it by up to " << difference << " (allowed " << bound
            << ")\n";
  if (!(difference <= bound)) {
    fail(ErrorKind::kNumeric, arguments.adapter, ": merged logits must be within ", bound,
         " of the adapter's, got ", difference, "; nothing was written");
  }
  model->save(arguments.out);
  tokenizer.save(arguments.out + "/tokenizer.model");
  copy_companions(arguments.model, arguments.out);
  std::cout << "merged model in " << arguments.out << "\n";
}

}  // namespace

void add_merge(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("merge", "put an adapter into the weights of its base");
  verb->footer(
      "Writes a checkpoint in Hugging Face layout with the tokenizer of the base: in bf16 where "
      "the\n"
      "base is, else in fp32.\n"
      "Prints how far logits on probe prompts are from those of base and adapter apart: in bf16\n"
      "a part of a small update is lost by rounding.");
  auto arguments = std::make_shared<MergeArguments>();
  verb->add_option("--model", arguments->model, "folder of the base")->required();
  verb->add_option("--adapter", arguments->adapter, "folder of the adapter")->required();
  verb->add_option("--out", arguments->out, "folder to write; absent or empty")->required();
  verb->callback([arguments] { merge(*arguments); });
}

}  // namespace radgpt
