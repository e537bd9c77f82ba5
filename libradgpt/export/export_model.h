#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "libradgpt/export/merge_check.h"
#include "libradgpt/formats/tensor_encoding.h"
#include "libradgpt/model/baichuan.h"

namespace radgpt {

/// What a written model is laid out for.
enum class ExportLayout {
  kBaichuan,  ///< as the base: Hugging Face folder of a BaichuanForCausalLM
  kLlama,     ///< Hugging Face folder of a LlamaForCausalLM; RoPE (7B) kind only
  kGguf,      ///< one file for llama.cpp, model-ENCODING.gguf
};

/// From what, where to and how a model is written.
struct ExportOptions {
  std::string model;    ///< folder of the base
  std::string adapter;  ///< folder of the adapter; empty: the base alone, which kBaichuan refuses
  std::string out;      ///< folder to write, absent or empty
  ExportLayout layout = ExportLayout::kBaichuan;
  /// Of the matrices; nothing: as the base has them. kQ8_0 is for kGguf alone.
  std::optional<TensorEncoding> encoding;
  int64_t max_shard_bytes = 5'000'000'000;  ///< of the Hugging Face layouts
};

/// What export_model did.
struct ExportResult {
  std::optional<MergeCheck> check;  ///< with an adapter
  std::string result;               ///< the folder, or the GGUF file in it
};

/// Writes base and adapter as one model: weights, configuration, tokenizer, chat template,
/// generation_config.json (the base's, or the official defaults) and the model card, README.md.
///
/// The adapter is merged in fp32 and rounded once to the type in memory: bf16 if the base has it
/// and bf16 or q8_0 is asked for, else fp32. Each tensor is then encoded as it is written, so
/// memory is one copy of the model in that type, the largest weight with its border, and some
/// 100 MB. The probe prompts of MergeCheck see the weights in memory, before they are encoded.
///
/// The folder is there wholly or not at all. Throws Error(kInput) for what cannot be read or
/// exported, an out folder with something in it, a file of the base that is a link out of
/// its folder, an adapter of another model, NaN or infinity in a weight; Error(kNumeric) as
/// merge_and_check; Error(kEnvironment) for the disk. All but what the weights and the adapter are
/// refused for is refused before they are read. `progress` hears of the loading.
ExportResult export_model(const ExportOptions& options, const LoadProgress& progress = {});

}  // namespace radgpt
