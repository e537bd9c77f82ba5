#include "libradgpt/export/export_model.h"

#include <torch/types.h>

#include <filesystem>
#include <memory>

#include "libradgpt/base/error.h"
#include "libradgpt/base/files.h"
#include "libradgpt/base/folder_name.h"
#include "libradgpt/base/text.h"
#include "libradgpt/export/chat_files.h"
#include "libradgpt/export/exported_tensor.h"
#include "libradgpt/export/gguf_model.h"
#include "libradgpt/export/llama.h"
#include "libradgpt/export/staged_folder.h"
#include "libradgpt/formats/folder_file.h"
#include "libradgpt/formats/generation_config.h"
#include "libradgpt/formats/tokenizer_json.h"
#include "libradgpt/record/model_card.h"
#include "libradgpt/record/run_facts.h"

namespace radgpt {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kLargestCompanion = 64 << 20;

void copy_file(const std::string& from, const std::string& to) {
  write_file_atomically(to, read_file(from, kLargestCompanion));
}

TensorEncoding encoding_of(DataType type) {
  if (type == DataType::kBF16) return TensorEncoding::kBf16;
  return type == DataType::kF16 ? TensorEncoding::kFp16 : TensorEncoding::kFp32;
}

DataType data_type(TensorEncoding encoding) {
  if (encoding == TensorEncoding::kBf16) return DataType::kBF16;
  return encoding == TensorEncoding::kFp16 ? DataType::kF16 : DataType::kF32;
}

/// One export, made in order.
class Export {
 public:
  explicit Export(const ExportOptions& options);
  ExportResult run(const LoadProgress& progress);

 private:
  void check() const;
  void load(const LoadProgress& progress);
  void write_companions(const StagedFolder& folder) const;
  void write_weights(const StagedFolder& folder, const std::vector<ExportedTensor>& tensors) const;
  void write_gguf(const std::string& path) const;
  void write_tokenizer(const StagedFolder& folder) const;
  void write_generation(const StagedFolder& folder) const;
  void copy_code(const StagedFolder& folder) const;
  void write_card(const StagedFolder& folder) const;
  std::string base_file(const std::string& name) const { return options_.model + "/" + name; }
  bool base_has(const char* name) const { return has_entry(options_.model, name); }
  std::string companion(const std::string& name) const;

  const ExportOptions& options_;
  ModelConfig config_;
  Tokenizer tokenizer_;
  SentencePieceModel pieces_;
  TensorEncoding encoding_;
  std::unique_ptr<Baichuan> model_;
  std::optional<MergeCheck> check_;
};

Export::Export(const ExportOptions& options)
    : options_(options),
      config_(read_model_config(base_file("config.json"))),
      tokenizer_(Tokenizer::load(base_file("tokenizer.model"))),
      pieces_(read_tokenizer_model(base_file("tokenizer.model"), config_.vocab_size)),
      encoding_(options.encoding.value_or(encoding_of(config_.dtype))) {}

/// All that can be refused before the weights are read.
void Export::check() const {
  require(!find_invalid_utf8(folder_name(options_.model)), options_.model,
          ": the folder's name must be UTF-8");
  const bool is_gguf = options_.layout == ExportLayout::kGguf;
  if (options_.layout == ExportLayout::kLlama) require_llama_kind(config_, options_.model);
  if (is_gguf) gguf_architecture(config_, base_file("config.json"));
  require(is_gguf || encoding_ != TensorEncoding::kQ8_0, options_.out,
          ": type must be bf16, fp16 or fp32 in a safetensors file, got q8_0");
  for (const auto& [key, size] : {std::pair("hidden_size", config_.hidden_size),
                                  std::pair("intermediate_size", config_.intermediate_size)}) {
    require(size % block_size(encoding_) == 0, base_file("config.json"), ": ", key,
            ": must be a multiple of ", block_size(encoding_), " for ", name_of(encoding_),
            ", got ", size);
  }
}

void Export::load(const LoadProgress& progress) {
  const bool is_short = encoding_ == TensorEncoding::kBf16 || encoding_ == TensorEncoding::kQ8_0;
  const bool in_bf16 = config_.dtype == DataType::kBF16 && is_short;
  model_ = Baichuan::load(options_.model, in_bf16 ? at::kBFloat16 : at::kFloat, progress);
  if (options_.adapter.empty()) return;
  ParameterStore store;
  const auto adapter = load_adapter(*model_, options_.adapter, store);
  check_ = merge_and_check(*model_, *adapter, tokenizer_, options_.adapter);
}

/// All but the weights, so that what is wrong with it costs no loading.
void Export::write_companions(const StagedFolder& folder) const {
  write_card(folder);
  if (options_.layout == ExportLayout::kGguf) return;
  write_tokenizer(folder);
  write_generation(folder);
  if (options_.layout == ExportLayout::kLlama) {
    write_llama_config(folder.file("config.json"), config_, data_type(encoding_));
    return;
  }
  copy_code(folder);
  ModelConfig config = config_;
  config.dtype = data_type(encoding_);
  write_model_config(folder.file("config.json"), config);
}

void Export::write_weights(const StagedFolder& folder,
                           const std::vector<ExportedTensor>& tensors) const {
  std::vector<TensorSpec> specs;
  for (const ExportedTensor& one : tensors) {
    specs.push_back({one.name, data_type(encoding_), one.shape});
  }
  write_weight_folder(
      folder.path(), specs, options_.max_shard_bytes,
      [&](size_t i, const ByteSink& sink) { write_encoded(tensors[i], encoding_, sink); });
}

void Export::write_gguf(const std::string& path) const {
  const std::vector<ExportedTensor> tensors = gguf_tensors(*model_);
  std::vector<GgufTensor> infos;
  for (const ExportedTensor& one : tensors) {
    infos.push_back({one.name, gguf_encoding(one, encoding_), one.shape});
  }
  GgufWriter writer(path, gguf_metadata(config_, pieces_, encoding_, folder_name(options_.model)),
                    infos);
  for (size_t i = 0; i < tensors.size(); ++i) {
    write_encoded(tensors[i], infos[i].encoding,
                  [&](std::span<const std::byte> bytes) { writer.write(bytes); });
  }
  writer.finish();
}

/// The path of a file of the base that is to go with the model. A link that leads out of the base's
/// folder is refused, as what it names may be no part of a model.
std::string Export::companion(const std::string& name) const {
  open_inside(options_.model, name);
  return base_file(name);
}

/// The base's own tokenizer files, where it has them and the layout is its own; else those that
/// transformers reads without code of the base.
void Export::write_tokenizer(const StagedFolder& folder) const {
  tokenizer_.save(folder.file("tokenizer.model"));
  const bool is_own = options_.layout == ExportLayout::kBaichuan;
  const char* const kConfig = "tokenizer_config.json";
  const char* const kMap = "special_tokens_map.json";
  if (is_own && base_has(kConfig)) {
    copy_tokenizer_config(companion(kConfig), folder.file(kConfig), pieces_);
  } else {
    write_tokenizer_config(folder.file(kConfig), config_, pieces_);
    write_file_atomically(folder.file("tokenizer.json"), tokenizer_json(pieces_));
  }
  if (is_own && base_has(kMap)) {
    copy_file(companion(kMap), folder.file(kMap));
  } else {
    write_special_tokens_map(folder.file(kMap), config_, pieces_);
  }
}

void Export::write_generation(const StagedFolder& folder) const {
  const char* const kName = "generation_config.json";
  if (base_has(kName)) {
    read_generation_config(companion(kName));  // refuses a broken one
    copy_file(base_file(kName), folder.file(kName));
    return;
  }
  GenerationConfig defaults;
  defaults.pad_token_id = config_.pad_token_id;
  defaults.bos_token_id = config_.bos_token_id;
  defaults.eos_token_ids = {config_.eos_token_id};
  write_generation_config(folder.file(kName), defaults);
}

/// The Python files of an official release, which transformers runs if its user says so.
void Export::copy_code(const StagedFolder& folder) const {
  std::error_code error;
  for (fs::directory_iterator entry(options_.model, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code ignored;
    if (entry->path().extension() != ".py" || entry->is_directory(ignored)) continue;
    const std::string name = entry->path().filename().string();
    copy_file(companion(name), folder.file(name));
  }
  require(!error, options_.model, ": must be a folder that can be listed: ", error.message());
}

void Export::write_card(const StagedFolder& folder) const {
  ModelCardSource source{.kind = ModelCardKind::kMerged, .base = options_.model, .run = ""};
  if (options_.layout == ExportLayout::kLlama) source.kind = ModelCardKind::kLlama;
  if (options_.layout == ExportLayout::kGguf) source.kind = ModelCardKind::kGguf;
  // A run leaves its adapter in RUN/adapter, and a model in RUN/model.
  const std::string& made = options_.adapter.empty() ? options_.model : options_.adapter;
  std::error_code ignored;
  const fs::path whole = fs::absolute(made, ignored);
  const std::string run = (whole.lexically_normal() / "..").lexically_normal();
  if (is_run_folder(run)) source.run = run;
  write_model_card(folder.path(), source);
}

ExportResult Export::run(const LoadProgress& progress) {
  check();
  StagedFolder folder(options_.out);
  write_companions(folder);
  load(progress);
  ExportResult result{check_, options_.out};
  switch (options_.layout) {
    case ExportLayout::kBaichuan:
      write_weights(folder, baichuan_tensors(*model_));
      break;
    case ExportLayout::kLlama:
      write_weights(folder, llama_tensors(*model_));
      break;
    case ExportLayout::kGguf: {
      const std::string name = concat("model-", name_of(encoding_), ".gguf");
      write_gguf(folder.file(name));
      result.result += "/" + name;
      break;
    }
  }
  folder.commit();
  return result;
}

}  // namespace

ExportResult export_model(const ExportOptions& options, const LoadProgress& progress) {
  const at::NoGradGuard no_grad;
  require(!options.adapter.empty() || options.layout != ExportLayout::kBaichuan, options.model,
          ": must be given an adapter to be merged with, or another layout");
  return Export(options).run(progress);
}

}  // namespace radgpt
