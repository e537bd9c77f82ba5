#include <torch/types.h>

#include <filesystem>
#include <fstream>
#include <iostream>

#include "libradgpt/model/baichuan.h"
#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "tests/model/reference_model.h"
#include "tests/model/small_packs.h"

namespace radgpt {

namespace {

// Tiny Baichuan models with inputs and outputs of the official code (../shared/fixtures): raw
// little-endian numbers, weights first, then x1 [3], y1 [3, 32], x2 [1], y2 [1, 32], x3, y3.
class Fixture {
 public:
  explicit Fixture(const std::string& path) : stream_(path, std::ios::binary) {}

  at::Tensor floats(std::vector<int64_t> shape) { return read(std::move(shape), at::kFloat); }
  Tokens tokens(int64_t count) {
    const at::Tensor ids = read({count}, at::kInt);
    return {ids.data_ptr<int32_t>(), ids.data_ptr<int32_t>() + count};
  }
  bool at_end() { return stream_.peek() == std::ifstream::traits_type::eof(); }

 private:
  at::Tensor read(std::vector<int64_t> shape, at::ScalarType type) {
    at::Tensor values = at::empty(shape, type);
    stream_.read(static_cast<char*>(values.data_ptr()), static_cast<int64_t>(values.nbytes()));
    REQUIRE(stream_.good());
    return values;
  }

  std::ifstream stream_;
};

ModelConfig fixture_config(PositionKind position) {
  ModelConfig config;
  config.vocab_size = 5;
  config.hidden_size = 32;
  config.intermediate_size = 96;
  config.num_hidden_layers = 1;
  config.num_attention_heads = 8;
  config.model_max_length = 64;
  config.position = position;
  config.dtype = DataType::kF32;
  return config;
}

// In the order of the official code's modules: down_proj stands before up_proj.
Weights read_weights(Fixture& fixture) {
  Weights weights;
  const auto read = [&](const std::string& name, std::vector<int64_t> shape) {
    weights[name + ".weight"] = fixture.floats(std::move(shape));
  };
  read("model.embed_tokens", {5, 32});
  read("model.layers.0.input_layernorm", {32});
  read("model.layers.0.self_attn.W_pack", {96, 32});
  read("model.layers.0.self_attn.o_proj", {32, 32});
  read("model.layers.0.post_attention_layernorm", {32});
  read("model.layers.0.mlp.gate_proj", {96, 32});
  read("model.layers.0.mlp.down_proj", {32, 96});
  read("model.layers.0.mlp.up_proj", {96, 32});
  read("model.norm", {32});
  weights["lm_head.weight"] = at::ones({5, 32});
  return weights;
}

}  // namespace

TEST_CASE("Baichuan: gives the hidden states of the official code, also step by step") {
  const auto [name, position] = GENERATE(
      table<std::string, PositionKind>({{"baichuan7b_model.data", PositionKind::kRope},
                                        {"baichuan13b_model.data", PositionKind::kAlibi}}));
  const std::string path = RADGPT_SOURCE_DIR "/../shared/fixtures/tiny_baichuan/" + name;
  if (!std::filesystem::exists(path)) {
    std::cout << "skipped: no ../shared\n";
    return;
  }
  Fixture fixture(path);
  const ModelConfig config = fixture_config(position);
  const TemporaryFolder folder;
  write_model_folder(folder.path(), config, read_weights(fixture));
  const auto model = Baichuan::load(folder.path(), at::kFloat);
  std::vector<LayerCache> cache = model->make_cache(1, 5);

  const Tokens prompt = fixture.tokens(3);
  const at::Tensor hidden = model->prefill(single_pack(prompt), {0, 1, 2}, {0}, cache);
  CHECK((hidden - fixture.floats({3, 32})).abs().max().item<double>() < 1e-5);
  for (int32_t length = 3; length < 5; ++length) {
    const at::Tensor next = model->decode(fixture.tokens(1), {0}, {length}, cache);
    CHECK((next - fixture.floats({1, 32})).abs().max().item<double>() < 1e-5);
  }
  CHECK(fixture.at_end());
}

}  // namespace radgpt
