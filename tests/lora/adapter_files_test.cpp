#include <torch/types.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "libradgpt/base/error.h"
#include "libradgpt/formats/safetensors.h"
#include "libradgpt/lora/adapter.h"
#include "libradgpt/lora/adapter_config.h"
#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "tests/model/reference_model.h"
#include "tests/model/small_packs.h"

namespace radgpt {

namespace {

const LoraOptions kOptions = {
    .rank = 4, .alpha = 8, .dropout = 0.05, .targets = {"down_proj", "W_pack"}, .rslora = true};

std::unique_ptr<Baichuan> fresh_model() {
  auto model = std::make_unique<Baichuan>(small_config(PositionKind::kRope), at::kFloat);
  model->initialise(5);
  return model;
}

// An adapter whose numbers are all different, saved.
struct Saved {
  TemporaryFolder folder;
  std::unique_ptr<Baichuan> model = fresh_model();
  ParameterStore store;
  Adapter adapter{*model, kOptions, store};

  Saved() {
    store.allocate();
    adapter.attach(1);
    store.flat().copy_(at::linspace(-0.5, 0.5, store.numel()));
    store.publish();
    adapter.save(folder.path(), "bases/one");
  }

  std::string message_of_load() const {
    const auto other = fresh_model();
    ParameterStore numbers;
    try {
      load_adapter(*other, folder.path(), numbers);
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kInput);
      return error.what();
    }
    return "";
  }

  void change_config(const std::function<void(nlohmann::json&)>& change) {
    nlohmann::json config = nlohmann::json::parse(folder.read("adapter_config.json"));
    change(config);
    folder.write("adapter_config.json", config.dump());
  }

  /// Writes the weights again as `change` leaves them.
  void change_weights(const std::function<void(Weights&)>& change) {
    Weights weights;
    for (size_t i = 0; i < store.size(); ++i) {
      weights[store.spec(i).name] = store.master(i).detach();
    }
    change(weights);
    std::vector<TensorBytes> tensors;
    for (const auto& [name, values] : weights) {
      const auto* bytes = static_cast<const std::byte*>(values.const_data_ptr());
      const DataType type = values.scalar_type() == at::kLong ? DataType::kI64 : DataType::kF32;
      tensors.push_back({{name, type, values.sizes().vec()}, {bytes, values.nbytes()}});
    }
    write_safetensors(folder.file("adapter_model.safetensors"), tensors);
  }
};

const std::string kSomeKey = "base_model.model.model.layers.1.mlp.down_proj.lora_B.weight";

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("Adapter files: what is loaded computes and saves the same, byte for byte") {
  const Saved saved;
  const auto model = fresh_model();
  ParameterStore store;
  const auto adapter = load_adapter(*model, saved.folder.path(), store);
  const Pack pack = single_pack({195, 3, 4, 196});
  CHECK(at::equal(model->forward(pack, {}), saved.model->forward(pack, {})));
  const TemporaryFolder again;
  adapter->save(again.path(), "bases/one");
  for (const char* name : {"adapter_config.json", "adapter_model.safetensors"}) {
    CHECK(again.read(name) == saved.folder.read(name));
  }
}

TEST_CASE("Adapter files: an adapter of another base of the same shape is refused") {
  Saved saved;
  const auto load_into = [&](int64_t seed, at::ScalarType type) {
    Baichuan model(small_config(PositionKind::kRope), type);
    model.initialise(seed);
    ParameterStore store;
    load_adapter(model, saved.folder.path(), store);
  };
  CHECK_NOTHROW(load_into(5, at::kFloat));
  CHECK_NOTHROW(load_into(5, at::kBFloat16));
  Baichuan half(small_config(PositionKind::kRope), at::kFloat);
  half.initialise(5);
  for (const at::Tensor& tensor : half.tensors()) tensor.copy_(tensor.to(at::kHalf));
  CHECK(half.fingerprint() == saved.model->fingerprint());
  CHECK_THROWS_WITH(load_into(6, at::kFloat),
                    saved.folder.file("adapter_model.safetensors") +
                        ": must be of an adapter trained on this base, got one of another base of "
                        "its shape");
  saved.adapter.merge();
  CHECK(saved.model->fingerprint() == fresh_model()->fingerprint());
  saved.change_weights([](Weights&) {});  // as others write it
  CHECK_NOTHROW(load_into(6, at::kFloat));
}

TEST_CASE("Adapter files: keys, shapes and types are those of PEFT") {
  const Saved saved;
  const SafetensorsFile file(saved.folder.file("adapter_model.safetensors"));
  CHECK(file.metadata() == std::map<std::string, std::string>{
                               {"base_fingerprint", saved.model->fingerprint()}, {"format", "pt"}});
  std::map<std::string, Shape> shapes;
  for (const TensorInfo& tensor : file.tensors()) {
    CHECK(tensor.dtype == DataType::kF32);
    shapes[tensor.name] = tensor.shape;
  }
  std::map<std::string, Shape> expected;
  for (const std::string layer : {"0", "1"}) {
    const std::string start = "base_model.model.model.layers." + layer;
    expected[start + ".self_attn.W_pack.lora_A.weight"] = {4, 48};
    expected[start + ".self_attn.W_pack.lora_B.weight"] = {144, 4};
    expected[start + ".mlp.down_proj.lora_A.weight"] = {4, 104};
    expected[start + ".mlp.down_proj.lora_B.weight"] = {48, 4};
  }
  CHECK(shapes == expected);
}

TEST_CASE("Adapter files: the configuration is PEFT's") {
  const Saved saved;
  const auto config = nlohmann::json::parse(saved.folder.read("adapter_config.json"));
  CHECK(config.at("peft_type") == "LORA");
  CHECK(config.at("task_type") == "CAUSAL_LM");
  CHECK(config.at("base_model_name_or_path") == "bases/one");
  CHECK(config.at("r") == 4);
  CHECK(config.at("lora_alpha") == 8);
  CHECK(config.at("lora_alpha").is_number_integer());
  CHECK(config.at("lora_dropout") == 0.05);
  CHECK(config.at("bias") == "none");
  CHECK(config.at("use_rslora") == true);
  CHECK(config.at("target_modules") == nlohmann::json({"down_proj", "W_pack"}));
  const LoraOptions options = read_adapter_config(saved.folder.path()).options;
  CHECK(options.rank == 4);
  CHECK(options.alpha == 8);
  CHECK(options.dropout == 0.05);
  CHECK(options.rslora);
  CHECK(options.targets == std::vector<std::string>{"down_proj", "W_pack"});
}

TEST_CASE("Adapter files: what a newer PEFT adds is taken while it is off") {
  Saved saved;
  saved.change_config([](nlohmann::json& config) {
    config.update({{"peft_version", "0.21.2"},
                   {"megatron_core", "megatron.core"},
                   {"qalora_group_size", 16},
                   {"use_dora", false},
                   {"lora_bias", false},
                   {"exclude_modules", nullptr},
                   {"something_new", nullptr},
                   {"task_type", nullptr}});
  });
  CHECK(saved.message_of_load().empty());
}

TEST_CASE("Adapter files: a configuration that asks for something else is refused by its key") {
  const auto [key, value] =
      GENERATE(table<std::string, nlohmann::json>({{"bias", "all"},
                                                   {"peft_type", "IA3"},
                                                   {"rank_pattern", {{"W_pack", 0}}},
                                                   {"rank_pattern", {{".*pack", 16}}},
                                                   {"rank_pattern", {{"pack", 4}}},
                                                   {"alpha_pattern", {{"W_pack", "16"}}},
                                                   {"layers_to_transform", {-1}},
                                                   {"layers_to_transform", "0"},
                                                   {"modules_to_save", {"lm_head"}},
                                                   {"fan_in_fan_out", true},
                                                   {"init_lora_weights", "pissa"},
                                                   {"trainable_token_indices", {3}},
                                                   {"something_new", "on"},
                                                   {"target_modules", {"q_proj", "qkv"}},
                                                   {"target_modules", ".*_proj"},
                                                   {"r", 0},
                                                   {"r", 4.5},
                                                   {"r", nullptr},
                                                   {"lora_alpha", "16"}}));
  Saved saved;
  saved.change_config([&, k = key, v = value](nlohmann::json& config) { config[k] = v; });
  const std::string message = saved.message_of_load();
  INFO(key << " " << value.dump() << ": " << message);
  CHECK(contains(message, "adapter_config.json"));
  CHECK(contains(message, key));
}

TEST_CASE("Adapter files: a configuration that fits no such model is refused by its fault") {
  const auto [key, value, fault] = GENERATE(table<std::string, nlohmann::json, std::string>(
      {{"target_modules", {"self_attn.gate_proj"}, "self_attn.gate_proj"},
       {"target_modules", {"W_pack", "q_proj"}, "both"},
       {"rank_pattern", {{"o_proj", 2}}, "o_proj"},
       {"rank_pattern", {{"W_pack", 2}, {"layers.1.self_attn.W_pack", 3}}, "one pattern"},
       {"layers_to_transform", {2}, "[0, 2)"}}));
  Saved saved;
  saved.change_config([&, k = key, v = value](nlohmann::json& config) { config[k] = v; });
  const std::string message = saved.message_of_load();
  INFO(message);
  CHECK(contains(message, fault));
  CHECK(contains(message, saved.folder.file("adapter_config.json")));
}

TEST_CASE("Adapter files: wrong weights are refused by name") {
  Saved saved;
  SECTION("a missing tensor") {
    saved.change_weights([](Weights& weights) { weights.erase(kSomeKey); });
  }
  SECTION("another shape") {
    saved.change_weights([](Weights& weights) { weights[kSomeKey] = at::ones({48, 5}); });
  }
  SECTION("another type") {
    saved.change_weights([](Weights& weights) {
      weights[kSomeKey] = at::ones({48, 4}, at::kLong);
    });
  }
  SECTION("not a number") {
    saved.change_weights([](Weights& weights) {
      weights[kSomeKey] = at::full({48, 4}, std::numeric_limits<double>::quiet_NaN(), at::kFloat);
    });
  }
  CHECK(contains(saved.message_of_load(), kSomeKey));
}

TEST_CASE("Adapter files: a tensor too many is refused by name") {
  Saved saved;
  const std::string extra = "base_model.model.model.layers.2.mlp.down_proj.lora_B.weight";
  saved.change_weights([&](Weights& weights) { weights[extra] = at::ones({48, 4}); });
  CHECK(contains(saved.message_of_load(), extra));
}

TEST_CASE("Adapter files: the rank of the configuration must be that of the weights") {
  Saved saved;
  saved.change_config([](nlohmann::json& config) { config["r"] = 8; });
  CHECK(contains(saved.message_of_load(), "[8, 104]"));
}

TEST_CASE("Adapter files: a head's parameters travel with the adapter") {
  const TemporaryFolder folder;
  const std::string name = "base_model.model.classifier.weight";
  const auto fill = [&](Baichuan& model, ParameterStore& store) {
    auto adapter = std::make_unique<Adapter>(model, kOptions, store);
    store.add({name, {3, 48}});
    store.allocate();
    adapter->attach(1);
    return adapter;
  };
  const auto model = fresh_model(), other = fresh_model();
  ParameterStore store, numbers;
  const auto adapter = fill(*model, store);
  store.flat().copy_(at::linspace(-0.5, 0.5, store.numel()));
  adapter->save(folder.path(), "base");
  const auto config = nlohmann::json::parse(folder.read("adapter_config.json"));
  CHECK(config.at("modules_to_save") == nlohmann::json({"classifier"}));
  fill(*other, numbers)->load(folder.path());
  CHECK(at::equal(numbers.flat(), store.flat()));

  ParameterStore without_head;
  const auto third = fresh_model();
  CHECK_THROWS_WITH(load_adapter(*third, folder.path(), without_head),
                    Catch::Matchers::ContainsSubstring("modules_to_save"));
}

}  // namespace radgpt
