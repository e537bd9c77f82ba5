#pragma once

#include <string>

#include "libradgpt/formats/model_config.h"
#include "libradgpt/formats/sentencepiece_model.h"

namespace radgpt {

/// Baichuan2's chat format as a Jinja template, the roles by their pieces (ids 195 and 196): the
/// system's text bare in front, each message behind its role, no begin or end of text; with
/// add_generation_prompt the assistant's role behind a last message that is not its own. A system
/// message elsewhere than in front raises an exception.
std::string chat_template(const SentencePieceModel& tokenizer);

/// tokenizer_config.json for a folder with tokenizer.json: the class that reads it in every version
/// of transformers, nothing put before or behind a text, the chat template.
void write_tokenizer_config(const std::string& path, const ModelConfig& config,
                            const SentencePieceModel& tokenizer);

/// The base's own tokenizer_config.json with the chat template added where it has none. Its
/// auto_map, which may name the code of another repository, names tokenization_baichuan.py beside
/// it, or is left out where that file is not there. Throws Error(kInput) if it is not a JSON
/// object.
void copy_tokenizer_config(const std::string& from, const std::string& to,
                           const SentencePieceModel& tokenizer);

/// special_tokens_map.json: the pieces of the ids in config.json.
void write_special_tokens_map(const std::string& path, const ModelConfig& config,
                              const SentencePieceModel& tokenizer);

}  // namespace radgpt
