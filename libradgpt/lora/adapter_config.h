#pragma once

#include <string>
#include <vector>

#include "libradgpt/lora/lora_options.h"

namespace radgpt {

/// Highest rank that a file may name.
inline constexpr int64_t kMostFileRank = 4096;

/// adapter_config.json of PEFT (peft.LoraConfig).
struct AdapterConfig {
  LoraOptions options;
  std::string base;                     ///< base_model_name_or_path
  std::vector<std::string> heads = {};  ///< modules_to_save: modules that are not low-rank pairs
};

/// Reads `folder`/adapter_config.json. Throws Error(kInput) naming the key for a file that asks
/// for something an Adapter does not compute (bias, a changed base, …); unknown keys must be off.
AdapterConfig read_adapter_config(const std::string& folder);

/// The same config gives the same bytes, and those of a file that was read and is written again.
void write_adapter_config(const std::string& folder, const AdapterConfig& config);

}  // namespace radgpt
