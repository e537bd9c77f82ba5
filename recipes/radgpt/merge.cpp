#include <iostream>
#include <memory>
#include <optional>
#include <string>

#include "libradgpt/base/error.h"
#include "libradgpt/export/export_model.h"
#include "recipes/radgpt/progress.h"
#include "recipes/radgpt/verbs.h"

namespace radgpt {

namespace {

struct MergeArguments {
  ExportOptions options;
  std::string type;
  bool llama = false;
  bool gguf = false;
};

ExportResult export_with_progress(const ExportOptions& options) {
  Progress progress;
  return export_model(options, [&](int64_t done, int64_t of) { progress.on_loading(done, of); });
}

/// Nothing for an empty name.
std::optional<TensorEncoding> find_encoding(const std::string& name) {
  for (const TensorEncoding encoding : {TensorEncoding::kFp32, TensorEncoding::kFp16,
                                        TensorEncoding::kBf16, TensorEncoding::kQ8_0}) {
    if (name_of(encoding) == name) return encoding;
  }
  return std::nullopt;
}

void merge(const MergeArguments& arguments) {
  ExportOptions options = arguments.options;
  options.encoding = find_encoding(arguments.type);
  if (arguments.llama) options.layout = ExportLayout::kLlama;
  if (arguments.gguf) options.layout = ExportLayout::kGguf;
  if (options.adapter.empty() && options.layout == ExportLayout::kBaichuan) {
    fail(ErrorKind::kUsage,
         "--adapter: must be given, unless the base alone becomes --llama or "
         "--gguf");
  }
  if (options.encoding == TensorEncoding::kQ8_0 && !arguments.gguf) {
    fail(ErrorKind::kUsage, "--type: must be bf16, fp16 or fp32 without --gguf, got q8_0");
  }
  const ExportResult result = export_with_progress(options);
  if (result.check) {
    std::cout << "the adapter moves logits by up to " << result.check->moved
              << "; merged weights differ from it by up to " << result.check->difference
              << " (allowed " << result.check->allowed << ")\n";
  }
  std::cout << (result.check ? "merged model" : "model") << " in " << result.result << "\n";
}

void add_format(CLI::App& verb, MergeArguments& arguments) {
  CLI::Option* llama = verb.add_flag("--llama", arguments.llama,
                                     "write a model that LLaMA runtimes load; RoPE (7B) kind only");
  verb.add_flag("--gguf", arguments.gguf, "write a GGUF file for llama.cpp")->excludes(llama);
  verb.add_option("--type", arguments.type,
                  "of the matrices: bf16, fp16, fp32, or with --gguf q8_0; default: as the base")
      ->check(CLI::IsMember({"bf16", "fp16", "fp32", "q8_0"}));
  verb.add_option("--max-shard-size", arguments.options.max_shard_bytes,
                  "largest safetensors file, as 5GB or 500MB")
      ->transform(CLI::AsSizeValue(true))
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000'000'000'000}))
      ->default_str("5GB");
}

}  // namespace

void add_merge(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("merge", "put an adapter into the weights of its base");
  verb->footer(
      "Writes a checkpoint in Hugging Face layout with the tokenizer of the base, chat template,\n"
      "generation_config.json and a model card; --llama and --gguf write other layouts, of a base\n"
      "alone too. Takes memory for one copy of the model: in bf16 where the base is, else in "
      "fp32.\n"
      "Prints how far logits on probe prompts are from those of base and adapter apart, and\n"
      "refuses a merge that rounding has spoilt: in bf16 a part of a small update is lost.");
  auto arguments = std::make_shared<MergeArguments>();
  verb->add_option("--model", arguments->options.model, "folder of the base")->required();
  verb->add_option("--adapter", arguments->options.adapter, "folder of the adapter");
  verb->add_option("--out", arguments->options.out, "folder to write; absent or empty")->required();
  add_format(*verb, *arguments);
  verb->callback([arguments] { merge(*arguments); });
}

}  // namespace radgpt
