// Bad configs CF01 to CF27 of the catalogue. CF16 is TK24 (sentencepiece_model_test.cpp); CF17 is
// tried here through the shapes that a config asks for.

#include "libradgpt/formats/model_config.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/base/temporary_folder.h"
#include "tests/formats/refusal.h"
#include "tests/formats/safetensors_bytes.h"

namespace radgpt {
namespace {

ModelConfig thirteen_billion() {
  ModelConfig config;
  config.hidden_size = 5120;
  config.intermediate_size = 13696;
  config.num_hidden_layers = 40;
  config.num_attention_heads = 40;
  config.position = PositionKind::kAlibi;
  return config;
}

nlohmann::json official_7b() {
  return {{"architectures", {"BaichuanForCausalLM"}},
          {"model_type", "baichuan"},
          {"vocab_size", 125696},
          {"hidden_size", 4096},
          {"intermediate_size", 11008},
          {"num_hidden_layers", 32},
          {"num_attention_heads", 32},
          {"max_position_embeddings", 4096},
          {"model_max_length", 4096},
          {"rms_norm_eps", 1e-6},
          {"initializer_range", 0.02},
          {"pad_token_id", 0},
          {"bos_token_id", 1},
          {"eos_token_id", 2},
          {"hidden_act", "silu"},
          {"tie_word_embeddings", false},
          {"torch_dtype", "bfloat16"},
          {"_from_model_config", true}};
}

ModelConfig read_text(const std::string& text) {
  const TemporaryFolder folder;
  return read_model_config(folder.write("config.json", text));
}

TEST_CASE("ModelConfig: the official sizes are read, and give the official counts") {
  const ModelConfig seven = read_text(official_7b().dump());
  CHECK(seven.position == PositionKind::kRope);
  CHECK(seven.dtype == DataType::kBF16);
  CHECK(seven.head_dim() == 128);
  CHECK(parameter_count(seven) == 7'505'973'248);
  CHECK(kv_cache_bytes_per_token(seven, DataType::kBF16) == 524'288);
  CHECK(named_tensors(seven).size() == 227);

  CHECK(parameter_count(thirteen_billion()) == 13'896'668'160);
  CHECK(kv_cache_bytes_per_token(thirteen_billion(), DataType::kBF16) == 819'200);
  CHECK(named_tensors(thirteen_billion()).size() == 283);
}

TEST_CASE("ModelConfig: the named tensors hold all parameters") {
  int64_t elements = 0;
  for (const NamedShape& tensor : named_tensors(thirteen_billion())) {
    int64_t product = 1;
    for (const int64_t size : tensor.shape) product *= size;
    elements += product;
  }
  CHECK(elements == 13'896'668'160);
  const std::vector<NamedShape> tensors = named_tensors(ModelConfig{});
  CHECK(tensors[2].name == "model.layers.0.self_attn.W_pack.weight");
  CHECK(tensors[2].shape == Shape{12288, 4096});
  CHECK(tensors.back().name == "lm_head.weight");
}

TEST_CASE("ModelConfig: a 13B config has no max_position_embeddings") {
  nlohmann::json root = official_7b();
  root.erase("max_position_embeddings");
  root["hidden_size"] = 5120;
  root["num_attention_heads"] = 40;
  CHECK(read_text(root.dump()).position == PositionKind::kAlibi);
  CHECK(read_text(root.dump()).model_max_length == 4096);
}

TEST_CASE("ModelConfig: of two lengths the shorter one counts") {
  nlohmann::json root = official_7b();
  root["model_max_length"] = 8192;
  CHECK(read_text(root.dump()).model_max_length == 4096);
  root["model_max_length"] = 512;
  CHECK(read_text(root.dump()).model_max_length == 512);
}

TEST_CASE("ModelConfig: a config that is written is read back") {
  const TemporaryFolder folder;
  const std::string path = folder.file("config.json");
  ModelConfig config;
  config.vocab_size = 300;
  config.hidden_size = 24;
  config.intermediate_size = 40;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 3;
  config.model_max_length = 77;
  config.rms_norm_eps = 1e-5;
  config.initializer_range = 0.5;
  config.pad_token_id = 3;
  config.bos_token_id = 4;
  config.eos_token_id = 5;
  for (const PositionKind position : {PositionKind::kRope, PositionKind::kAlibi}) {
    for (const DataType dtype : {DataType::kBF16, DataType::kF16, DataType::kF32}) {
      config.position = position;
      config.dtype = dtype;
      write_model_config(path, config);
      CHECK(read_model_config(path) == config);
    }
  }
}

TEST_CASE("ModelConfig: what is written is what Hugging Face reads") {
  const TemporaryFolder folder;
  write_model_config(folder.file("config.json"), ModelConfig{});
  const nlohmann::json written = nlohmann::json::parse(folder.read("config.json"));
  nlohmann::json official = official_7b();
  official.erase("_from_model_config");
  for (const auto& [key, value] : official.items()) {
    INFO(key);
    CHECK(written.at(key) == value);
  }
  CHECK(written.at("position_embedding") == "rope");
}

/// A row of a table: the key that is replaced in a good config, and the JSON text it gets.
struct BadKey {
  const char* name;
  std::string key;
  std::string value;  ///< empty: the key is taken out
  std::vector<std::string> said;
};

std::string text_with(const BadKey& row) {
  nlohmann::json root = official_7b();
  root[row.key] = "PLACEHOLDER";
  std::string text = root.dump();
  const std::string placeholder = "\"PLACEHOLDER\"";
  if (row.value.empty()) {
    root.erase(row.key);
    return root.dump();
  }
  return text.replace(text.find(placeholder), placeholder.size(), row.value);
}

void check_refused(const std::vector<BadKey>& rows) {
  const TemporaryFolder folder;
  for (const BadKey& row : rows) {
    INFO(row.name);
    const std::string path = folder.write("config.json", text_with(row));
    check_message(refusal([&] { read_model_config(path); }), path, row.said);
  }
}

TEST_CASE("ModelConfig: refuses a bad size") {
  const std::string rule = "integer in [1, 32768]";
  check_refused({
      {"CF04 missing", "hidden_size", "", {"hidden_size", "is missing"}},
      {"CF05 zero", "hidden_size", "0", {"hidden_size", rule, "got 0"}},
      {"CF06 negative", "hidden_size", "-4096", {"hidden_size", rule, "got -4096"}},
      {"CF07 fraction", "hidden_size", "4096.5", {"hidden_size", rule, "got 4096.5"}},
      {"CF08 float", "hidden_size", "4096.0", {"hidden_size", rule, "got 4096.0"}},
      {"CF09 string", "hidden_size", "\"" + kSecret + "\"", {"hidden_size", rule, "a string"}},
      {"CF10 true", "hidden_size", "true", {"hidden_size", rule, "true or false"}},
      {"CF11 2^31", "hidden_size", "2147483648", {"hidden_size", rule, "got 2147483648"}},
      {"CF12 2^32 + 1", "hidden_size", "4294967297", {"hidden_size", rule, "got 4294967297"}},
      {"CF13 1e400", "hidden_size", "1e400", {":1:", "beyond the range of double"}},
      {"CF14 heads", "num_attention_heads", "30", {"num_attention_heads", "divide", "got 30"}},
      {"CF14 odd head size", "num_attention_heads", "4096", {"num_attention_heads", "even"}},
      {"CF15 513 layers", "num_hidden_layers", "513", {"num_hidden_layers", "[1, 256]", "513"}},
      {"CF20 no positions", "model_max_length", "0", {"model_max_length", "[1, 1000000]", "0"}},
      {"CF20 no positions", "max_position_embeddings", "0", {"max_position_embeddings", "got 0"}},
      {"an id beyond the vocabulary", "eos_token_id", "125696", {"eos_token_id", "got 125696"}},
      {"null", "pad_token_id", "null", {"pad_token_id", "got null"}},
  });
}

TEST_CASE("ModelConfig: refuses another model, and other bad settings") {
  const std::string secret = "\"" + kSecret + "\"";
  check_refused({
      {"CF03 other model", "model_type", secret, {"model_type", "\"baichuan\"", "a string"}},
      {"CF03 no model type", "model_type", "", {"model_type", "is missing"}},
      {"Baichuan 1 by class",
       "architectures",
       "[\"BaiChuanForCausalLM\"]",
       {"architectures", "first Baichuan generation"}},
      {"Baichuan 1 by vocabulary",
       "vocab_size",
       "64000",
       {"vocab_size", "first Baichuan generation"}},
      {"CF18 eps 0", "rms_norm_eps", "0", {"rms_norm_eps", "(0, 0.1]", "got 0"}},
      {"CF19 eps NaN", "rms_norm_eps", "NaN", {":1:", "valid JSON"}},
      {"CF19 eps string", "rms_norm_eps", secret, {"rms_norm_eps", "a number", "a string"}},
      {"CF21 activation", "hidden_act", secret, {"hidden_act", "\"silu\"", "a string"}},
      {"tied embeddings", "tie_word_embeddings", "true", {"tie_word_embeddings", "false"}},
      {"CF26 dtype", "torch_dtype", secret, {"torch_dtype", "\"bfloat16\"", "a string"}},
      {"CF27 undecided", "hidden_size", "512", {"position_embedding", "4096", "5120", "missing"}},
      {"CF27 unknown kind", "position_embedding", secret, {"position_embedding", "\"alibi\""}},
  });
}

TEST_CASE("ModelConfig: refuses a file that is no strict JSON object") {
  const std::string deep = "{\"a\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}";
  const std::vector<BadBytes> rows{
      {"CF02 not an object", "[\"" + kSecret + "\"]", {"JSON object", "an array"}},
      {"CF22 key twice", "{\"hidden_size\":1,\"hidden_size\":2}", {":1:18:", "repeat a key"}},
      {"CF23 deep nesting", deep, {":1:21:", "at most 16"}},
      {"CF24 invalid UTF-8", "{\"" + kSecret + "\xFF\":1}", {":1:13:", "valid UTF-8"}},
  };
  const TemporaryFolder folder;
  const std::string none = folder.file("none/config.json");
  check_message(refusal([&] { read_model_config(none); }), none, {"no such file"});  // CF01
  for (const BadBytes& row : rows) {
    INFO(row.name);
    const std::string path = folder.write("config.json", row.bytes);
    check_message(refusal([&] { read_model_config(path); }), path, row.said);
  }
}

TEST_CASE("ModelConfig: refuses sizes that are each possible but not together") {  // CF25
  ModelConfig config;
  config.vocab_size = 1'000'000;
  config.hidden_size = 32'768;
  config.intermediate_size = 131'072;
  config.num_hidden_layers = 256;
  check_message(refusal([&] { check_model_config(config, "config.json"); }), "config.json",
                {"hidden_size", "at most 100000000000 parameters"});
  config = {};
  config.rms_norm_eps = std::numeric_limits<double>::quiet_NaN();
  check_message(refusal([&] { check_model_config(config, "config.json"); }), "config.json",
                {"rms_norm_eps"});
}

TEST_CASE("ModelConfig: a vocabulary other than the embedding's rows is found") {  // CF17
  const TemporaryFolder folder;
  ModelConfig config;
  config.vocab_size = 3;
  const NamedShape embedding = named_tensors(config).front();
  const std::string path = folder.write(
      "model.safetensors",
      safetensors_bytes("{" + header_entry(embedding.name, "U8", "[4]", "[0,4]") + "}", "abcd"));
  check_message(refusal([&] { WeightFolder(folder.path()).expect({embedding}); }), path,
                {embedding.name, "shape [3, 4096] by config.json", "got [4]"});
}

}  // namespace
}  // namespace radgpt
