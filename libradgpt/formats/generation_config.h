#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace radgpt {

/// generation_config.json: how a runtime samples unless it is told otherwise. The defaults are
/// those of Baichuan2-13B-Chat.
struct GenerationConfig {
  int64_t max_new_tokens = 2048;
  bool do_sample = true;  ///< false: greedy, whatever temperature, top_k and top_p say
  double temperature = 0.3;
  int64_t top_k = 5;
  double top_p = 0.85;
  double repetition_penalty = 1.05;
  int64_t pad_token_id = 0;
  int64_t bos_token_id = 1;
  std::vector<int64_t> eos_token_ids = {2};

  bool operator==(const GenerationConfig&) const = default;
};

/// Reads and checks the keys above; `eos_token_id` may be a number or a list. Other keys are
/// ignored, except those that ask for another search (num_beams above 1, a penalty_alpha), which
/// are refused. Throws Error(kInput) "PATH: KEY: must be …".
GenerationConfig read_generation_config(const std::string& path);

/// Writes that file, wholly or not at all, with the roles of Baichuan2's chat format
/// (user_token_id 195, assistant_token_id 196). Throws Error(kEnvironment).
void write_generation_config(const std::string& path, const GenerationConfig& config);

}  // namespace radgpt
