#include "libradgpt/export/export_model.h"

#include <torch/types.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "libradgpt/formats/generation_config.h"
#include "tests/catch.h"
#include "tests/export/export_case.h"

namespace radgpt {

namespace {

namespace fs = std::filesystem;

/// Every number within `share` of the exact one, or within 2^-22 for those near zero, where the
/// fp32 sum has lost digits.
void check_weights(const Weights& got, const Weights& exact, double share) {
  REQUIRE(got.size() == exact.size());
  for (const auto& [name, values] : exact) {
    INFO(name);
    REQUIRE(got.contains(name));
    REQUIRE(got.at(name).sizes() == values.sizes());
    const at::Tensor allowed = values.abs() * share + 0x1p-22;
    CHECK(((got.at(name) - values).abs() <= allowed).all().item<bool>());
  }
}

nlohmann::json json_of(const std::string& path) { return nlohmann::json::parse(read_text(path)); }

}  // namespace

TEST_CASE("Export: merged weights are base + scale B A in fp32, rounded once") {
  for (const DataType type : {DataType::kF32, DataType::kBF16, DataType::kF16}) {
    INFO(name_of(type));
    const ExportCase merge(export_config(PositionKind::kAlibi, 2, type));
    const ExportResult result = export_model(merge.options());
    REQUIRE(result.check);
    CHECK(result.check->difference <= result.check->allowed);
    CHECK(result.check->moved > 0.01);
    CHECK(result.result == merge.out());
    // Half a unit in the last place; lm_head is normalised and rounded again.
    const double once = type == DataType::kBF16 ? 0x1p-8 : type == DataType::kF16 ? 0x1p-11 : 0;
    check_weights(read_weights(merge.out()), merge.merged(), once + 0x1p-22);
    CHECK(read_model_config(merge.out() + "/config.json") == merge.config());
  }
}

TEST_CASE("Export: the type of the weights can be chosen") {
  const ExportCase merge(export_config(PositionKind::kRope, 2, DataType::kBF16));
  const auto check = [&](TensorEncoding encoding, double share, const char* name) {
    ExportOptions options = merge.options();
    options.encoding = encoding;
    export_model(options);
    check_weights(read_weights(merge.out()), merge.merged(), share);
    CHECK(json_of(merge.out() + "/config.json").at("torch_dtype") == name);
    fs::remove_all(merge.out());
  };
  check(TensorEncoding::kFp32, 0x1p-22, "float32");
  check(TensorEncoding::kFp16, 0x1p-11 + 0x1p-22, "float16");  // not by way of bf16
}

TEST_CASE("Export: shards are within their limit and listed") {
  const ExportCase merge(export_config(PositionKind::kRope));
  ExportOptions options = merge.options();
  options.max_shard_bytes = 400'000;
  export_model(options);
  int shards = 0;
  for (const auto& entry : fs::directory_iterator(merge.out())) {
    if (entry.path().extension() != ".safetensors") continue;
    ++shards;
    CHECK(entry.file_size() < 400'000 + 10'000);
  }
  CHECK(shards > 2);
  const CheckpointIndex index =
      read_checkpoint_index(merge.out() + "/model.safetensors.index.json");
  CHECK(index.total_size == static_cast<uint64_t>(4 * parameter_count(merge.config())));
  check_weights(read_weights(merge.out()), merge.merged(), 0x1p-22);
}

TEST_CASE("Export: a base without companions gets the official defaults") {
  const ExportCase merge(export_config(PositionKind::kRope));
  export_model(merge.options());
  CHECK(read_generation_config(merge.out() + "/generation_config.json") == GenerationConfig{});
  CHECK(read_text(merge.out() + "/tokenizer.model") ==
        read_text(merge.base() + "/tokenizer.model"));
  const nlohmann::json tokenizer = json_of(merge.out() + "/tokenizer_config.json");
  CHECK(tokenizer.at("tokenizer_class") == "PreTrainedTokenizerFast");
  CHECK(tokenizer.at("add_bos_token") == false);
  CHECK(tokenizer.at("eos_token") == "</s>");
  CHECK(tokenizer.at("chat_template").get<std::string>().find("'<reserved_106>' +") !=
        std::string::npos);
  CHECK(json_of(merge.out() + "/tokenizer.json").at("model").at("vocab").size() ==
        static_cast<size_t>(merge.config().vocab_size));
  CHECK(json_of(merge.out() + "/special_tokens_map.json").at("pad_token") == "<unk>");
  CHECK(!json_of(merge.out() + "/config.json").contains("auto_map"));
}

TEST_CASE("Export: companions of the base go with it") {
  const ExportCase merge(export_config(PositionKind::kRope));
  const TemporaryFolder& folder = merge.folder();
  const std::string generation = R"({"do_sample":true, "top_k":7})";
  folder.write("base/generation_config.json", generation);
  folder.write("base/tokenizer_config.json", R"({"tokenizer_class":"BaichuanTokenizer"})");
  folder.write("base/special_tokens_map.json", "{}");
  folder.write("base/modeling_baichuan.py", "pass\n");
  folder.write("base/notes.txt", "stays here");
  export_model(merge.options());
  CHECK(read_text(merge.out() + "/generation_config.json") == generation);
  const nlohmann::json tokenizer = json_of(merge.out() + "/tokenizer_config.json");
  CHECK(tokenizer.at("tokenizer_class") == "BaichuanTokenizer");
  CHECK(tokenizer.contains("chat_template"));
  CHECK(read_text(merge.out() + "/special_tokens_map.json") == "{}");
  CHECK(read_text(merge.out() + "/modeling_baichuan.py") == "pass\n");
  CHECK(json_of(merge.out() + "/config.json").contains("auto_map"));
  CHECK(!fs::exists(merge.out() + "/tokenizer.json"));
  CHECK(!fs::exists(merge.out() + "/notes.txt"));

  folder.write("base/tokenizer_config.json", R"({"chat_template":"own"})");
  fs::remove_all(merge.out());
  export_model(merge.options());
  CHECK(json_of(merge.out() + "/tokenizer_config.json").at("chat_template") == "own");
}

TEST_CASE("Export: a tokenizer's auto_map names the file beside it or nothing") {
  const ExportCase merge(export_config(PositionKind::kRope));
  const auto auto_map = [&] {
    export_model(merge.options());
    const nlohmann::json config = json_of(merge.out() + "/tokenizer_config.json");
    fs::remove_all(merge.out());
    return config.value("auto_map", nlohmann::json());
  };
  merge.folder().write("base/tokenizer_config.json",
                       R"({"auto_map":{"AutoTokenizer":["else/where--code.Class",null]}})");
  CHECK(auto_map() == nullptr);
  merge.folder().write("base/tokenization_baichuan.py", "pass\n");
  CHECK(auto_map() == nlohmann::json::parse(
                          R"({"AutoTokenizer":["tokenization_baichuan.BaichuanTokenizer",null]})"));
  merge.folder().write("base/tokenizer_config.json", "{}");
  CHECK(auto_map() == nullptr);
}

TEST_CASE("Export: LLaMA's layout has the thirds of W_pack and no code of the base") {
  const ExportCase merge(export_config(PositionKind::kRope, 2, DataType::kBF16));
  merge.folder().write("base/modeling_baichuan.py", "pass\n");
  merge.folder().write("base/tokenizer_config.json", R"({"tokenizer_class":"BaichuanTokenizer"})");
  for (const bool adapted : {true, false}) {
    INFO(adapted);
    ExportOptions options = merge.options(ExportLayout::kLlama);
    if (!adapted) options.adapter.clear();
    const ExportResult result = export_model(options);
    CHECK(result.check.has_value() == adapted);
    Weights exact = adapted ? merge.merged() : merge.plain();
    for (int layer = 0; layer < 2; ++layer) {
      const std::string stem = "model.layers." + std::to_string(layer) + ".self_attn.";
      const auto parts = exact.at(stem + "W_pack.weight").chunk(3);
      exact.erase(stem + "W_pack.weight");
      exact[stem + "q_proj.weight"] = parts[0];
      exact[stem + "k_proj.weight"] = parts[1];
      exact[stem + "v_proj.weight"] = parts[2];
    }
    check_weights(read_weights(merge.out()), exact, 0x1p-8 + 0x1p-22);
    CHECK(!fs::exists(merge.out() + "/modeling_baichuan.py"));
    CHECK(json_of(merge.out() + "/tokenizer_config.json").at("tokenizer_class") ==
          "PreTrainedTokenizerFast");
    fs::remove_all(merge.out());
  }
}

TEST_CASE("Export: LLaMA's config has the shape of the base") {
  const ExportCase merge(export_config(PositionKind::kRope));
  export_model(merge.options(ExportLayout::kLlama));
  const nlohmann::json config = json_of(merge.out() + "/config.json");
  CHECK(config.at("architectures") == nlohmann::json({"LlamaForCausalLM"}));
  CHECK(config.at("model_type") == "llama");
  CHECK(config.at("torch_dtype") == "float32");
  CHECK(config.at("vocab_size") == merge.config().vocab_size);
  CHECK(config.at("hidden_size") == 64);
  CHECK(config.at("intermediate_size") == 96);
  CHECK(config.at("num_hidden_layers") == 2);
  CHECK(config.at("num_attention_heads") == 4);
  CHECK(config.at("num_key_value_heads") == 4);
  CHECK(config.at("max_position_embeddings") == 128);
  CHECK(config.at("rms_norm_eps") == 1e-6);
  CHECK(config.at("rope_theta") == 10000);
  CHECK(config.at("attention_bias") == false);
  CHECK(config.at("tie_word_embeddings") == false);
  CHECK(config.at("eos_token_id") == 2);
  CHECK(!config.contains("auto_map"));
}

TEST_CASE("Export: the card names the base and no folder") {
  const ExportCase merge(export_config(PositionKind::kRope));
  export_model(merge.options());
  const std::string card = read_text(merge.out() + "/README.md");
  CHECK(card.starts_with("---\n"));
  CHECK(card.find("base_model: \"base\"\n") != std::string::npos);
  CHECK(card.find(merge.folder().path()) == std::string::npos);
}

TEST_CASE("Export: a base that is the working folder is named as the folder is") {
  const ExportCase merge(export_config(PositionKind::kRope));
  const fs::path before = fs::current_path();
  fs::current_path(merge.base());
  ExportOptions options = merge.options();
  options.model = ".";
  export_model(options);
  fs::current_path(before);
  CHECK(read_text(merge.out() + "/README.md").find("base_model: \"base\"\n") != std::string::npos);
}

}  // namespace radgpt
