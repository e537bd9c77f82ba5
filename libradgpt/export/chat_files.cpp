#include "libradgpt/export/chat_files.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "libradgpt/base/files.h"
#include "libradgpt/data/tokenizer.h"
#include "libradgpt/formats/json.h"

namespace radgpt {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kLargestFile = 64 << 20;
const std::string kChatTemplate = "chat_template";
const std::string kAutoMap = "auto_map";

std::string piece(const SentencePieceModel& tokenizer, int64_t id) {
  return tokenizer.pieces.at(static_cast<size_t>(id)).text;
}

Json special_tokens(const ModelConfig& config, const SentencePieceModel& tokenizer) {
  return {{"bos_token", piece(tokenizer, config.bos_token_id)},
          {"eos_token", piece(tokenizer, config.eos_token_id)},
          {"unk_token", piece(tokenizer, kUnknownId)},
          {"pad_token", piece(tokenizer, config.pad_token_id)}};
}

}  // namespace

std::string chat_template(const SentencePieceModel& tokenizer) {
  const std::string user = piece(tokenizer, kUserId);
  const std::string assistant = piece(tokenizer, kAssistantId);
  return "{% for message in messages %}"
         "{% if message['role'] == 'system' %}"
         "{% if not loop.first %}{{ raise_exception('system must be the first message') }}"
         "{% endif %}{{ message['content'] }}"
         "{% elif message['role'] == 'user' %}{{ '" +
         user +
         "' + message['content'] }}"
         "{% elif message['role'] == 'assistant' %}{{ '" +
         assistant +
         "' + message['content'] }}"
         "{% else %}{{ raise_exception('role must be system, user or assistant') }}"
         "{% endif %}{% endfor %}"
         "{% if add_generation_prompt and messages[-1]['role'] != 'assistant' %}{{ '" +
         assistant + "' }}{% endif %}";
}

void write_tokenizer_config(const std::string& path, const ModelConfig& config,
                            const SentencePieceModel& tokenizer) {
  Json root = {{"tokenizer_class", "PreTrainedTokenizerFast"},
               {"model_input_names", {"input_ids", "attention_mask"}},
               {"model_max_length", config.model_max_length},
               {"padding_side", "left"},
               {"clean_up_tokenization_spaces", false},
               {"add_bos_token", false},
               {"add_eos_token", false}};
  root.update(special_tokens(config, tokenizer));
  root[kChatTemplate] = chat_template(tokenizer);
  write_file_atomically(path, root.dump(2) + "\n");
}

void copy_tokenizer_config(const std::string& from, const std::string& to,
                           const SentencePieceModel& tokenizer) {
  nlohmann::json root = read_json_file(from, kLargestFile);
  if (!JsonObject(root, from).has(kChatTemplate)) root[kChatTemplate] = chat_template(tokenizer);
  if (root.contains(kAutoMap)) {
    root.erase(kAutoMap);
    const std::filesystem::path folder = std::filesystem::path(from).parent_path();
    std::error_code ignored;
    if (std::filesystem::is_regular_file(folder / "tokenization_baichuan.py", ignored)) {
      root[kAutoMap] = {{"AutoTokenizer", {"tokenization_baichuan.BaichuanTokenizer", nullptr}}};
    }
  }
  write_file_atomically(to, root.dump(2) + "\n");
}

void write_special_tokens_map(const std::string& path, const ModelConfig& config,
                              const SentencePieceModel& tokenizer) {
  write_file_atomically(path, special_tokens(config, tokenizer).dump(2) + "\n");
}

}  // namespace radgpt
