#include "tests/export/export_case.h"

#include <cmath>

#include "libradgpt/base/files.h"
#include "libradgpt/formats/safetensors.h"
#include "libradgpt/lora/adapter.h"
#include "tests/data/small_tokenizer.h"

namespace radgpt {

namespace {

constexpr int64_t kRank = 4;
constexpr double kScale = 2;

at::ScalarType scalar_type(DataType type) {
  if (type == DataType::kBF16) return at::kBFloat16;
  return type == DataType::kF16 ? at::kHalf : at::kFloat;
}

std::span<std::byte> bytes_of(const at::Tensor& tensor) {
  return {static_cast<std::byte*>(tensor.data_ptr()), tensor.nbytes()};
}

void write_tensors(const std::string& path, const Weights& weights, DataType type) {
  std::vector<TensorBytes> tensors;
  for (const auto& [name, values] : weights) {
    tensors.push_back({{name, type, values.sizes().vec()}, bytes_of(values)});
  }
  write_safetensors(path, tensors, {{"format", "pt"}});
}

at::Tensor normalised(const at::Tensor& rows) { return rows / rows.norm(2, {1}, true); }

}  // namespace

ModelConfig export_config(PositionKind position, int64_t layers, DataType dtype) {
  ModelConfig config;
  config.vocab_size = small_tokenizer().size();
  config.hidden_size = 64;
  config.intermediate_size = 96;
  config.num_attention_heads = 4;
  config.num_hidden_layers = layers;
  config.model_max_length = 128;
  config.position = position;
  config.dtype = dtype;
  return config;
}

ExportCase::ExportCase(const ModelConfig& config) : config_(config) {
  at::manual_seed(7);
  for (const NamedShape& one : named_tensors(config)) {
    at::Tensor values = at::randn(one.shape, at::kFloat);
    values = one.shape.size() == 1 ? 1 + 0.2 * values : values / std::sqrt(one.shape[1]);
    weights_[one.name] = values.to(scalar_type(config.dtype));
  }
  write_base();
  write_adapter();
}

void ExportCase::write_base() const {
  std::filesystem::create_directories(base());
  write_tensors(base() + "/model.safetensors", weights_, config_.dtype);
  write_model_config(base() + "/config.json", config_);
  small_tokenizer().save(base() + "/tokenizer.model");
}

void ExportCase::write_adapter() const {
  const auto model = Baichuan::load(base(), at::kFloat);
  ParameterStore store;
  Adapter adapter(
      *model, {.rank = kRank, .alpha = kScale * kRank, .dropout = 0, .targets = {"all"}}, store);
  store.allocate();
  adapter.attach(1);
  store.flat().normal_(0, 0.05);
  adapter.save(folder_.file("adapter"), "base");
}

ExportOptions ExportCase::options(ExportLayout layout) const {
  ExportOptions options;
  options.model = base();
  options.adapter = folder_.file("adapter");
  options.out = out();
  options.layout = layout;
  return options;
}

Weights ExportCase::plain() const {
  Weights exact;
  for (const auto& [name, values] : weights_) exact[name] = values.to(at::kDouble);
  exact["lm_head.weight"] = normalised(exact["lm_head.weight"]);
  return exact;
}

Weights ExportCase::merged() const {
  Weights exact = plain();
  const SafetensorsFile pairs(folder_.file("adapter/adapter_model.safetensors"));
  const auto read = [&](const std::string& name) {
    const TensorInfo& info = *pairs.find(name);
    const at::Tensor values = at::empty(info.shape, at::kFloat);
    pairs.read(info, bytes_of(values));
    return values.to(at::kDouble);
  };
  for (auto& [name, values] : exact) {
    const std::string stem = "base_model.model." + name.substr(0, name.rfind('.'));
    if (pairs.find(stem + ".lora_A.weight") == nullptr) continue;
    values = values + kScale * read(stem + ".lora_B.weight").mm(read(stem + ".lora_A.weight"));
  }
  return exact;
}

void ExportCase::change_base(const std::string& name, double value) const {
  Weights changed = weights_;
  changed[name] = changed[name].clone();
  changed[name].view(-1)[changed[name].numel() - 1] = value;
  write_tensors(base() + "/model.safetensors", changed, config_.dtype);
}

Weights read_weights(const std::string& folder) {
  const WeightFolder files(folder);
  Weights weights;
  for (const std::string& name : files.names()) {
    const TensorInfo& info = *files.find(name);
    const at::Tensor values = at::empty(info.shape, scalar_type(info.dtype));
    files.read(name, bytes_of(values));
    weights[name] = values.to(at::kDouble);
  }
  return weights;
}

std::string read_text(const std::string& path) { return read_file(path, uint64_t{1} << 30); }

}  // namespace radgpt
