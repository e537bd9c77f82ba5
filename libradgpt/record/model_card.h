#pragma once

#include <string>

namespace radgpt {

/// What a model card stands beside.
enum class ModelCardKind {
  kAdapter,  ///< PEFT's files
  kModel,    ///< a model of which all weights were trained
  kMerged,   ///< base with adapter, in Baichuan2's layout
  kLlama,    ///< the same, or a base alone, in LLaMA's layout
  kGguf,     ///< the same as a GGUF file
};

/// What a card is written from.
struct ModelCardSource {
  ModelCardKind kind = ModelCardKind::kAdapter;
  std::string base;  ///< folder of the base, of which the last part is named
  std::string run;   ///< folder of the run that made it; empty: not known, and the card is short
};

/// Writes FOLDER/README.md as Hugging Face shows it: YAML front matter, then what the model is, its
/// base, counts and digests of its data, settings, training, scores if there are any, use and
/// limits, and how to load it. Says nothing but what RunFacts hold: no text of reports, no paths.
/// Throws Error(kInput) for a run folder that cannot be read, Error(kEnvironment) for the disk.
void write_model_card(const std::string& folder, const ModelCardSource& source);

}  // namespace radgpt
