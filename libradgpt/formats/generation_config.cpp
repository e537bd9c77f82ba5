#include "libradgpt/formats/generation_config.h"

#include <nlohmann/json.hpp>

#include "libradgpt/base/files.h"
#include "libradgpt/formats/json.h"

namespace radgpt {
namespace {

constexpr uint64_t kLargestFile = 1 << 20;
constexpr int64_t kMostTokens = 1'000'000;
const std::string kEos = "eos_token_id";

void refuse_other_searches(const JsonObject& entries) {
  if (entries.integer_or("num_beams", 1, 1000, 1) != 1) entries.refuse("num_beams", "1");
  if (entries.has("penalty_alpha") && entries.number("penalty_alpha", 0, 1) != 0) {
    entries.refuse("penalty_alpha", "absent or 0");
  }
}

std::vector<int64_t> read_eos(const JsonObject& entries, const nlohmann::json& root) {
  if (!entries.has(kEos) || !root.at(kEos).is_array()) {
    return {entries.integer_or(kEos, 0, kMostTokens, GenerationConfig{}.eos_token_ids.front())};
  }
  std::vector<int64_t> ids;
  for (const nlohmann::json& id : root.at(kEos)) {
    const nlohmann::json one = {{kEos, id}};
    ids.push_back(JsonObject(one, entries.where()).integer(kEos, 0, kMostTokens));
  }
  if (ids.empty()) entries.refuse(kEos, "a token id, or a list with at least one");
  return ids;
}

}  // namespace

GenerationConfig read_generation_config(const std::string& path) {
  const nlohmann::json root = read_json_file(path, kLargestFile);
  const JsonObject entries(root, path);
  refuse_other_searches(entries);
  GenerationConfig config;
  config.max_new_tokens =
      entries.integer_or("max_new_tokens", 1, kMostTokens, config.max_new_tokens);
  config.do_sample = entries.boolean_or("do_sample", false);
  config.temperature = entries.number_or("temperature", 0, 100, 1);
  config.top_k = entries.integer_or("top_k", 0, kMostTokens, 50);
  config.top_p = entries.number_or("top_p", 1e-6, 1, 1);
  config.repetition_penalty = entries.number_or("repetition_penalty", 0.01, 10, 1);
  config.pad_token_id = entries.integer_or("pad_token_id", 0, kMostTokens, config.pad_token_id);
  config.bos_token_id = entries.integer_or("bos_token_id", 0, kMostTokens, config.bos_token_id);
  config.eos_token_ids = read_eos(entries, root);
  return config;
}

void write_generation_config(const std::string& path, const GenerationConfig& config) {
  nlohmann::ordered_json root = {
      {"pad_token_id", config.pad_token_id},
      {"bos_token_id", config.bos_token_id},
      {"eos_token_id", config.eos_token_ids},
      {"user_token_id", 195},
      {"assistant_token_id", 196},
      {"max_new_tokens", config.max_new_tokens},
      {"do_sample", config.do_sample},
      {"temperature", config.temperature},
      {"top_k", config.top_k},
      {"top_p", config.top_p},
      {"repetition_penalty", config.repetition_penalty},
  };
  if (config.eos_token_ids.size() == 1) root[kEos] = config.eos_token_ids.front();
  write_file_atomically(path, root.dump(2) + "\n");
}

}  // namespace radgpt
