#include "libradgpt/train/assembly.h"

#include <torch/types.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "libradgpt/base/error.h"
#include "libradgpt/config/recipe_file.h"
#include "libradgpt/data/tokenizer_training.h"
#include "libradgpt/ops/device_kernels.h"
#include "tests/base/temporary_folder.h"
#include "tests/catch.h"

namespace radgpt {
namespace {

constexpr int32_t kPieces = kFixedPieces + 60;

/// A tokenizer whose learnt pieces depend on `extra`, not its size.
Tokenizer small_tokenizer(const std::string& extra) {
  std::vector<std::string> texts;
  for (const char* text : {"双肺清晰，未见结节。", "右肺上叶见磨玻璃结节。", "肝内见囊性低密度影。",
                           "甲状腺左叶见低回声结节。", "脑实质内未见异常信号。"}) {
    texts.insert(texts.end(), 20, text + extra);
  }
  return train_tokenizer(texts, kPieces);
}

/// Saves a tiny base with this tokenizer; `weight` is the last one in the file.
void save_base(const std::string& folder, const Tokenizer& tokenizer, float weight) {
  ModelConfig config;
  config.vocab_size = kPieces;
  config.hidden_size = 8;
  config.intermediate_size = 8;
  config.num_hidden_layers = 1;
  config.num_attention_heads = 2;
  Baichuan model(config, at::kFloat);
  model.initialise(1);
  model.save(folder);
  std::fstream file(folder + "/model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-static_cast<std::streamoff>(sizeof weight), std::ios::end);
  file.write(reinterpret_cast<const char*>(&weight), sizeof weight);
  tokenizer.save(folder + "/tokenizer.model");
}

Recipe recipe_of(const std::string& base, const std::vector<std::string>& overrides) {
  const std::string text = concat("model: {path: ", base,
                                  ", dtype: fp32}\n"
                                  "data: {sources: [{reports: [unused.jsonl]}]}\n"
                                  "output: {folder: unused}\n");
  return parse_recipe(text, "r.yaml", overrides);
}

/// What making tokenizer and model is refused with; "accepted" if it is not.
std::string refusal_of(const Recipe& recipe) {
  try {
    make_model(recipe, make_tokenizer(recipe, {}));
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    return error.what();
  }
  return "accepted";
}

TEST_CASE("Assembly: a base that the machine cannot hold is refused before it is read") {
  ModelConfig config;
  config.hidden_size = 32768;
  config.intermediate_size = 131072;
  config.num_hidden_layers = 256;
  config.num_attention_heads = 256;
  const Communicator alone;
  const Recipe recipe = recipe_of("unused", {"model.device=cpu"});
  try {
    require_memory(recipe, config, alone);
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kEnvironment);
    CHECK_THAT(error.what(), Catch::Matchers::StartsWith("r.yaml: model: its weights need "));
  }
  config.num_hidden_layers = 1;
  config.hidden_size = config.intermediate_size = 64;
  CHECK_NOTHROW(require_memory(recipe, config, alone));
}

TEST_CASE("Assembly: a tokenizer beside a base must be the base's own") {
  const TemporaryFolder base;
  const TemporaryFolder folder;
  const Tokenizer own = small_tokenizer("");
  const Tokenizer other = small_tokenizer("随访。");
  REQUIRE(own.size() == other.size());
  save_base(base.path(), own, 0.5f);
  own.save(folder.file("own.model"));
  other.save(folder.file("other.model"));
  CHECK(refusal_of(recipe_of(base.path(), {})) == "accepted");
  CHECK(refusal_of(recipe_of(base.path(), {"model.tokenizer=" + folder.file("own.model")})) ==
        "accepted");
  const Recipe wrong = recipe_of(base.path(), {"model.tokenizer=" + folder.file("other.model")});
  CHECK(refusal_of(wrong) ==
        "r.yaml: model.tokenizer: must be the tokenizer of the base, got another than " +
            base.file("tokenizer.model"));
  std::filesystem::remove(base.file("tokenizer.model"));  // then the sizes must do
  CHECK(refusal_of(wrong) == "accepted");
}

TEST_CASE("Assembly: a run for a GPU can be planned where there is none") {
  const Recipe recipe = recipe_of("unused", {"model.device=cuda", "model.dtype=auto"});
  CHECK(model_type(recipe) == at::kBFloat16);
  if (!cuda_available()) {
    CHECK_THROWS_WITH(model_options(recipe),
                      Catch::Matchers::ContainsSubstring(
                          "r.yaml: model.device: must be a device that is here, got cuda"));
  }
  CHECK_THROWS_WITH(model_type(recipe_of("unused", {"model.device=cuda"})),
                    "r.yaml: model.dtype: must be bf16 or auto on a GPU, got fp32");
}

TEST_CASE("Assembly: weights that are not finite are refused where the recipe asks") {  // ST62
  for (const float weight :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const TemporaryFolder base;
    save_base(base.path(), small_tokenizer(""), weight);
    CHECK(refusal_of(recipe_of(base.path(), {})) == "accepted");
    const std::string message = refusal_of(recipe_of(base.path(), {"model.check_finite=true"}));
    CHECK_THAT(message, Catch::Matchers::ContainsSubstring("model.safetensors: "));
    CHECK_THAT(message, Catch::Matchers::ContainsSubstring("must be finite"));
  }
  const TemporaryFolder base;
  save_base(base.path(), small_tokenizer(""), 0.5f);
  CHECK(refusal_of(recipe_of(base.path(), {"model.check_finite=true"})) == "accepted");
}

}  // namespace
}  // namespace radgpt
