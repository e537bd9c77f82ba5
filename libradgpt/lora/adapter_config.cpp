#include "libradgpt/lora/adapter_config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "libradgpt/base/error.h"
#include "libradgpt/base/files.h"
#include "libradgpt/formats/json.h"
#include "libradgpt/lora/targets.h"

namespace radgpt {

namespace {

constexpr uint64_t kLargestFile = 1 << 20;
constexpr double kMostAlpha = 1e6;
constexpr int64_t kMostLayer = 1'000'000;
const std::string kFileName = "/adapter_config.json";

// Keys that name, describe or initialise, and change nothing once the numbers are there.
const std::set<std::string> kIdleKeys = {
    "auto_mapping", "base_model_name_or_path", "inference_mode", "megatron_core",
    "peft_version", "qalora_group_size",       "revision",       "task_type",
};
const std::set<std::string> kOwnKeys = {
    "peft_type",
    "r",
    "lora_alpha",
    "lora_dropout",
    "target_modules",
    "use_rslora",
    "bias",
    "init_lora_weights",
    "modules_to_save",
    "use_dora",
    "rank_pattern",
    "alpha_pattern",
    "layers_pattern",
    "layers_to_transform",
};

bool is_off(const nlohmann::json& value) {
  return value.is_null() || value == false ||
         ((value.is_object() || value.is_array()) && value.empty());
}

bool is_given(const nlohmann::json& config, const char* key) {
  return config.contains(key) && !config.at(key).is_null();
}

// PiSSA, OLoRA, LoftQ, … start from a changed base; the plain ways only choose numbers.
bool keeps_the_base(const nlohmann::json& value) {
  return value.is_boolean() || value.is_null() || value == "gaussian" || value == "eva";
}

void check_keys(const nlohmann::json& config, const JsonObject& object) {
  for (const auto& [key, value] : config.items()) {
    if (kIdleKeys.count(key) || kOwnKeys.count(key) || is_off(value)) continue;
    object.refuse(key, "absent or off, for it changes what the adapter computes");
  }
  if (config.contains("init_lora_weights") && !keeps_the_base(config.at("init_lora_weights"))) {
    object.refuse("init_lora_weights",
                  "true, false, \"gaussian\" or \"eva\", which leave the base as it is; convert "
                  "the adapter to a plain one");
  }
  if (object.text("peft_type") != "LORA") object.refuse("peft_type", "\"LORA\"");
  if (object.text_or("bias", "none") != "none") object.refuse("bias", "\"none\"");
}

/// Whether the last part of a module's name is that of a linear.
bool ends_with_linear(const std::string& name) {
  const std::string last = name.substr(name.rfind('.') + 1);
  return std::any_of(kLoraTargets.begin(), kLoraTargets.end(),
                     [&](const LoraTarget& target) { return target.name == last; });
}

/// A list of names, or the name that stands for all linears.
std::vector<std::string> read_targets(const nlohmann::json& config, const JsonObject& object) {
  const char* rule = "\"all-linear\" or a list of names";
  if (!config.contains("target_modules")) object.refuse("target_modules", rule);
  const nlohmann::json& value = config.at("target_modules");
  if (value == "all-linear") return {"all-linear"};
  if (!value.is_array()) object.refuse("target_modules", rule);
  std::vector<std::string> targets = object.texts("target_modules");
  if (!std::all_of(targets.begin(), targets.end(), ends_with_linear)) {
    object.refuse(
        "target_modules",
        "a list of W_pack, q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj");
  }
  return targets;
}

std::vector<int64_t> read_layers(const nlohmann::json& config, const JsonObject& object) {
  if (!is_given(config, "layers_to_transform")) return {};
  if (is_given(config, "layers_pattern") && config.at("layers_pattern") != "layers" &&
      !is_off(config.at("layers_pattern"))) {
    object.refuse("layers_pattern", "absent or \"layers\"");
  }
  const nlohmann::json& value = config.at("layers_to_transform");
  if (value.is_number()) return {object.integer("layers_to_transform", 0, kMostLayer)};
  std::vector<int64_t> layers;
  for (const nlohmann::json& layer : object.array("layers_to_transform")) {
    if (!layer.is_number_integer() || layer < 0 || layer > kMostLayer) {
      object.refuse("layers_to_transform", "the number of a layer or a list of numbers");
    }
    layers.push_back(layer.get<int64_t>());
  }
  return layers;
}

/// Names only: what else a regular expression can say is refused.
void check_pattern(const JsonObject& object, const std::string& key, std::string pattern) {
  constexpr const char* kOutsideNames = "*+?()[]{}|";
  if (pattern.ends_with('$')) pattern.pop_back();
  if (pattern.find_first_of(kOutsideNames) != std::string::npos || !ends_with_linear(pattern)) {
    object.refuse(key, "an object whose keys are names of linears or the ends of such names");
  }
}

void read_patterns(const nlohmann::json& config, const JsonObject& object, LoraOptions& options) {
  for (const std::string key : {"rank_pattern", "alpha_pattern"}) {
    if (!is_given(config, key.c_str())) continue;
    const JsonObject patterns = object.object(key);
    for (const auto& [pattern, value] : config.at(key).items()) {
      check_pattern(object, key, pattern);
      if (key == "rank_pattern") {
        options.rank_pattern[pattern] = patterns.integer(pattern, 1, kMostFileRank);
      } else {
        options.alpha_pattern[pattern] = patterns.number(pattern, 0, kMostAlpha);
      }
    }
  }
}

/// As PEFT writes a number: an integer where it is one.
nlohmann::json number(double value) {
  if (value == std::floor(value)) return static_cast<int64_t>(value);
  return value;
}

/// `all` is a word of recipes, which PEFT does not know.
nlohmann::json target_names(const LoraOptions& options) {
  const std::vector<std::string>& targets = options.targets;
  if (targets == std::vector<std::string>{"all-linear"}) return targets.front();
  if (std::find(targets.begin(), targets.end(), "all") == targets.end()) return targets;
  nlohmann::json names = nlohmann::json::array();
  for (const LoraTarget& target : kLoraTargets) {
    const bool is_third = target.kind == LinearKind::kPackedQkv && target.parts > 1;
    if (!is_third) names.push_back(target.name);
  }
  return names;
}

}  // namespace

AdapterConfig read_adapter_config(const std::string& folder) {
  const std::string path = folder + kFileName;
  const nlohmann::json config = read_json_file(path, kLargestFile);
  const JsonObject object(config, path);
  check_keys(config, object);
  AdapterConfig result;
  LoraOptions& options = result.options;
  options.source = path;
  options.rank = object.integer("r", 1, kMostFileRank);
  options.alpha = object.number("lora_alpha", 0, kMostAlpha);
  options.dropout = object.number_or("lora_dropout", 0, 1, 0);
  options.rslora = object.boolean_or("use_rslora", false);
  options.dora = object.boolean_or("use_dora", false);
  options.targets = read_targets(config, object);
  options.layers = read_layers(config, object);
  read_patterns(config, object, options);
  if (is_given(config, "base_model_name_or_path")) {
    result.base = object.text("base_model_name_or_path");
  }
  if (is_given(config, "modules_to_save")) result.heads = object.texts("modules_to_save");
  return result;
}

void write_adapter_config(const std::string& folder, const AdapterConfig& config) {
  const LoraOptions& options = config.options;
  nlohmann::json alphas = nlohmann::json::object();
  for (const auto& [pattern, alpha] : options.alpha_pattern) alphas[pattern] = number(alpha);
  nlohmann::json root = {
      {"alpha_pattern", alphas},
      {"auto_mapping", nullptr},
      {"base_model_name_or_path", config.base},
      {"bias", "none"},
      {"fan_in_fan_out", false},
      {"inference_mode", true},
      {"init_lora_weights", true},
      {"layers_pattern", nullptr},
      {"layers_to_transform", nullptr},
      {"lora_alpha", number(options.alpha)},
      {"lora_dropout", options.dropout},
      {"modules_to_save", nullptr},
      {"peft_type", "LORA"},
      {"r", options.rank},
      {"rank_pattern", options.rank_pattern},
      {"revision", nullptr},
      {"target_modules", target_names(options)},
      {"task_type", "CAUSAL_LM"},
      {"use_dora", options.dora},
      {"use_rslora", options.rslora},
  };
  if (!options.layers.empty()) {
    root["layers_pattern"] = "layers";
    root["layers_to_transform"] = options.layers;
  }
  if (!config.heads.empty()) root["modules_to_save"] = config.heads;
  write_file_atomically(folder + kFileName, root.dump(2) + "\n");
}

}  // namespace radgpt
