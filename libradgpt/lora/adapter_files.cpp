#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "libradgpt/base/error.h"
#include "libradgpt/base/files.h"
#include "libradgpt/formats/json.h"
#include "libradgpt/formats/safetensors.h"
#include "libradgpt/lora/adapter.h"
#include "libradgpt/lora/targets.h"

namespace radgpt {

namespace {

constexpr uint64_t kConfigBytes = 1 << 20;
const std::string kConfigFile = "/adapter_config.json";
const std::string kWeightsFile = "/adapter_model.safetensors";
const std::string kPrefix = "base_model.model.";

// Keys that name, describe or initialise, and change nothing once the numbers are there.
const std::set<std::string> kIdleKeys = {
    "auto_mapping", "base_model_name_or_path", "inference_mode", "megatron_core",
    "peft_version", "qalora_group_size",       "revision",       "task_type",
};
const std::set<std::string> kOwnKeys = {
    "peft_type",  "r",    "lora_alpha",        "lora_dropout",    "target_modules",
    "use_rslora", "bias", "init_lora_weights", "modules_to_save",
};

bool is_off(const nlohmann::json& value) {
  return value.is_null() || value == false ||
         ((value.is_object() || value.is_array()) && value.empty());
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
    object.refuse("init_lora_weights", "true, false, \"gaussian\" or \"eva\"");
  }
  if (object.text("peft_type") != "LORA") object.refuse("peft_type", "\"LORA\"");
  if (object.text_or("bias", "none") != "none") object.refuse("bias", "\"none\"");
}

at::ScalarType scalar_type(const std::string& path, const TensorInfo& tensor) {
  switch (tensor.dtype) {
    case DataType::kF32:
      return at::kFloat;
    case DataType::kBF16:
      return at::kBFloat16;
    case DataType::kF16:
      return at::kHalf;
    default:
      fail(ErrorKind::kInput, path, ": ", tensor.name, ": type must be F32, BF16 or F16, got ",
           name_of(tensor.dtype));
  }
}

// Indices of the store's parameters by name, in ascending order of names.
std::map<std::string, size_t> parameters_by_name(const ParameterStore& store) {
  std::map<std::string, size_t> by_name;
  for (size_t i = 0; i < store.size(); ++i) by_name[store.spec(i).name] = i;
  return by_name;
}

void check_tensors(const SafetensorsFile& file, const ParameterStore& store,
                   const std::map<std::string, size_t>& wanted) {
  for (const auto& [name, index] : wanted) {
    const TensorInfo* tensor = file.find(name);
    require(tensor != nullptr, file.path(), ": lacks ", name, " (has ", file.tensors().size(),
            " tensors, needs ", wanted.size(), ")");
    const Shape& shape = store.spec(index).shape;
    require(tensor->shape == shape, file.path(), ": ", name, ": shape must be ", to_text(shape),
            ", got ", to_text(tensor->shape));
    scalar_type(file.path(), *tensor);
  }
  for (const TensorInfo& tensor : file.tensors()) {
    require(wanted.count(tensor.name) == 1, file.path(), ": ", tensor.name,
            ": must belong to a linear that adapter_config.json targets in this model, or to the "
            "head in use");
  }
}

std::span<std::byte> bytes_of(const at::Tensor& tensor) {
  return {static_cast<std::byte*>(tensor.data_ptr()), tensor.nbytes()};
}

}  // namespace

LoraOptions read_lora_options(const std::string& folder) {
  const std::string path = folder + kConfigFile;
  const nlohmann::json config = read_json_file(path, kConfigBytes);
  const JsonObject object(config, path);
  check_keys(config, object);
  LoraOptions options;
  options.rank = object.integer("r", 1, 4096);
  options.alpha = object.number("lora_alpha", 0, 1e6);
  options.dropout = object.number_or("lora_dropout", 0, 1, 0);
  options.rslora = object.boolean_or("use_rslora", false);
  options.targets = object.texts("target_modules");
  for (const std::string& target : options.targets) {
    const bool known = std::any_of(kLoraTargets.begin(), kLoraTargets.end(),
                                   [&](const LoraTarget& one) { return one.name == target; });
    if (!known)
      object.refuse("target_modules", "a list of W_pack, o_proj, gate_proj, up_proj, down_proj");
  }
  return options;
}

// NAME of every `base_model.model.NAME.weight` of the store that is not of the adapter.
std::vector<std::string> Adapter::modules_of_heads() const {
  std::set<size_t> own;
  for (const Place& place : places_) own.insert({place.a, place.b});
  std::vector<std::string> modules;
  for (size_t i = 0; i < store_.size(); ++i) {
    if (own.count(i)) continue;
    std::string name = store_.spec(i).name;
    if (name.rfind(kPrefix, 0) == 0) name.erase(0, kPrefix.size());
    modules.push_back(name.substr(0, name.find('.')));
  }
  return modules;
}

void Adapter::save(const std::string& folder, const std::string& base) const {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail(ErrorKind::kEnvironment, folder, ": cannot make the folder: ", error.message());
  std::vector<at::Tensor> masters;
  std::vector<TensorBytes> tensors;
  for (const auto& [name, index] : parameters_by_name(store_)) {
    masters.push_back(store_.master(index).detach().cpu());
    tensors.push_back({{name, DataType::kF32, store_.spec(index).shape}, bytes_of(masters.back())});
  }
  write_safetensors(folder + kWeightsFile, tensors, {{"format", "pt"}});
  nlohmann::json config = {
      {"alpha_pattern", nlohmann::json::object()},
      {"auto_mapping", nullptr},
      {"base_model_name_or_path", base},
      {"bias", "none"},
      {"fan_in_fan_out", false},
      {"inference_mode", true},
      {"init_lora_weights", true},
      {"layers_pattern", nullptr},
      {"layers_to_transform", nullptr},
      {"lora_alpha", options_.alpha},
      {"lora_dropout", options_.dropout},
      {"modules_to_save", nullptr},
      {"peft_type", "LORA"},
      {"r", options_.rank},
      {"rank_pattern", nlohmann::json::object()},
      {"revision", nullptr},
      {"target_modules", options_.targets},
      {"task_type", "CAUSAL_LM"},
      {"use_rslora", options_.rslora},
  };
  if (options_.alpha == std::floor(options_.alpha)) {
    config["lora_alpha"] = static_cast<int64_t>(options_.alpha);
  }
  const std::vector<std::string> modules = modules_of_heads();
  if (!modules.empty()) config["modules_to_save"] = modules;
  write_file_atomically(folder + kConfigFile, config.dump(2) + "\n");
}

void Adapter::load(const std::string& folder) {
  const at::NoGradGuard no_grad;
  const std::string path = folder + kWeightsFile;
  if (!std::filesystem::exists(path) && std::filesystem::exists(folder + "/adapter_model.bin")) {
    fail(ErrorKind::kInput, folder, ": adapter_model.bin can run code when it is read; convert it ",
         "to adapter_model.safetensors");
  }
  const SafetensorsFile file(path);
  const auto wanted = parameters_by_name(store_);
  check_tensors(file, store_, wanted);
  file.require_finite();
  for (const auto& [name, index] : wanted) {
    const TensorInfo& tensor = *file.find(name);
    const at::Tensor stored = at::empty(tensor.shape, scalar_type(path, tensor));
    file.read(tensor, bytes_of(stored));
    store_.master(index).detach().copy_(stored);
  }
  store_.publish();
}

std::unique_ptr<Adapter> load_adapter(Baichuan& model, const std::string& folder,
                                      ParameterStore& store) {
  auto adapter = std::make_unique<Adapter>(model, read_lora_options(folder), store);
  store.allocate();
  adapter->attach(0);
  adapter->load(folder);
  return adapter;
}

}  // namespace radgpt
