#include <torch/types.h>

#include <filesystem>

#include "libradgpt/base/error.h"
#include "libradgpt/formats/checkpoint_index.h"
#include "libradgpt/model/baichuan.h"
#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "tests/formats/pickle_bytes.h"
#include "tests/model/pytorch_folder.h"
#include "tests/model/reference_model.h"
#include "tests/model/small_packs.h"

namespace radgpt {

namespace {

const Tokens kTokens = {195, 17, 42, 105, 3, 196};

at::Tensor logits(const Baichuan& model) {
  return head_logits(model.forward(single_pack(kTokens), {}), model.head());
}

std::string message_of_load(const std::string& folder) {
  try {
    Baichuan::load(folder, at::kFloat);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("Baichuan: a saved model loads with equal bits, in one file or in shards") {
  const auto type = GENERATE(at::kFloat, at::kBFloat16);
  const auto shard_bytes = GENERATE(int64_t{1} << 30, int64_t{20'000});
  const TemporaryFolder first, second;
  const ModelConfig config = small_config(PositionKind::kAlibi);
  write_model_folder(first.path(), config, random_weights(config));
  const auto model = Baichuan::load(first.path(), type);
  model->save(second.path(), shard_bytes);
  const auto again = Baichuan::load(second.path(), type);
  CHECK(again->digest() == model->digest());
  CHECK(at::equal(logits(*again), logits(*model)));
  CHECK(std::filesystem::exists(second.file("model.safetensors")) == (shard_bytes > 1'000'000));
}

TEST_CASE("Baichuan: no shard is larger than asked unless one tensor is") {
  const TemporaryFolder folder;
  const ModelConfig config = small_config(PositionKind::kRope);
  Baichuan model(config, at::kFloat);
  model.initialise(1);
  model.save(folder.path(), 50'000);
  const CheckpointIndex index = read_checkpoint_index(folder.file("model.safetensors.index.json"));
  CHECK(index.shard.size() == named_tensors(config).size());
  CHECK(index.total_size == 4 * static_cast<uint64_t>(parameter_count(config)));
  for (const auto& [tensor, shard] : index.shard) {
    const SafetensorsFile file(folder.file(shard));
    uint64_t bytes = 0;
    for (const TensorInfo& one : file.tensors()) bytes += one.bytes();
    CHECK((bytes <= 50'000 || file.tensors().size() == 1));
  }
}

TEST_CASE("Baichuan: config.json keeps shape, kind of position and type") {
  const TemporaryFolder folder;
  const ModelConfig config = small_config(PositionKind::kAlibi);
  Baichuan model(config, at::kBFloat16);
  model.initialise(1);
  model.save(folder.path());
  const ModelConfig read = read_model_config(folder.file("config.json"));
  CHECK(read.position == PositionKind::kAlibi);
  CHECK(read.dtype == DataType::kBF16);
  CHECK(read.num_attention_heads == 5);
  CHECK(read.intermediate_size == config.intermediate_size);
}

TEST_CASE("Baichuan: the head is normalised from fp32 and rounded once") {
  const TemporaryFolder folder;
  const ModelConfig config = small_config(PositionKind::kRope);
  Weights weights = random_weights(config);
  weights["lm_head.weight"][5].zero_();
  write_model_folder(folder.path(), config, weights);
  const at::Tensor rows = Baichuan::load(folder.path(), at::kBFloat16)->head().normalised;
  const at::Tensor raw = weights["lm_head.weight"].to(at::kFloat);
  const at::Tensor expected = (raw / raw.norm(2, {1}, true).clamp_min(1e-12)).to(at::kBFloat16);
  CHECK(at::equal(rows, expected));
  CHECK(rows[5].abs().max().item<float>() == 0.0f);
}

TEST_CASE("Baichuan: a fresh model is a function of the seed") {
  const ModelConfig config = small_config(PositionKind::kRope);
  Baichuan first(config, at::kFloat), same(config, at::kFloat), other(config, at::kFloat);
  first.initialise(3);
  same.initialise(3);
  other.initialise(4);
  CHECK(first.digest() == same.digest());
  CHECK(first.digest() != other.digest());
  const at::Tensor weight = first.linear(0, LinearKind::kGateUp).weight();
  // The deviation of n samples is known to about 1/sqrt(2n); 4 of those.
  const double error = 4 / std::sqrt(2.0 * static_cast<double>(weight.numel()));
  CHECK(weight.std().item<double>() == Approx(config.initializer_range).epsilon(error));
  CHECK(first.head().normalised.norm(2, {1}).sub(1).abs().max().item<double>() < 1e-6);
}

TEST_CASE("Baichuan: loading names the tensor that is missing, too many or of another shape") {
  const TemporaryFolder folder;
  const ModelConfig config = small_config(PositionKind::kRope);
  const Weights weights = random_weights(config);
  const std::string name = "model.layers.1.self_attn.o_proj.weight";

  Weights missing = weights;
  missing.erase(name);
  write_model_folder(folder.path(), config, missing);
  CHECK(message_of_load(folder.path()).find(name) != std::string::npos);

  Weights extra = weights;
  extra["model.layers.2.input_layernorm.weight"] = at::ones({48});
  write_model_folder(folder.path(), config, extra);
  CHECK(message_of_load(folder.path()).find("layers.2.input_layernorm") != std::string::npos);

  Weights wrong = weights;
  wrong[name] = at::ones({48, 47});
  write_model_folder(folder.path(), config, wrong);
  CHECK(message_of_load(folder.path()).find("[48, 47]") != std::string::npos);
}

TEST_CASE("Baichuan: skips rotary_emb.inv_freq of older exports") {
  const TemporaryFolder folder;
  const ModelConfig config = small_config(PositionKind::kRope);
  Weights weights = random_weights(config);
  weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = at::ones({4});
  write_model_folder(folder.path(), config, weights);
  CHECK(message_of_load(folder.path()).empty());
}

TEST_CASE("Baichuan: pytorch_model.bin loads as the same weights in safetensors do") {
  const auto type = GENERATE(at::kFloat, at::kBFloat16);
  const TemporaryFolder folder;
  const ModelConfig config = small_config(PositionKind::kRope);
  Weights weights = random_weights(config);
  write_model_folder(folder.path(), config, weights);
  const std::string digest = Baichuan::load(folder.path(), type)->digest();
  weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = at::ones({4});
  write_pytorch_model(folder, weights);
  CHECK(Baichuan::load(folder.path(), type)->digest() == digest);  // both, and they are the same
  std::filesystem::remove(folder.file("model.safetensors"));
  CHECK(Baichuan::load(folder.path(), type)->digest() == digest);
}

TEST_CASE("Baichuan: other weights beside the safetensors are refused while they are loaded") {
  const TemporaryFolder folder;
  const ModelConfig config = small_config(PositionKind::kRope);
  Weights weights = random_weights(config);
  write_model_folder(folder.path(), config, weights);
  const std::string name = "model.layers.1.mlp.down_proj.weight";
  weights[name] = weights[name] * 1.5;
  write_pytorch_model(folder, weights);
  const std::string message = message_of_load(folder.path());
  CHECK(message.starts_with(folder.path() + ": " + name));
  CHECK(message.find("remove one of the two sets") != std::string::npos);
}

TEST_CASE("Baichuan: a damaged pytorch_model.bin is refused") {
  const TemporaryFolder folder;
  const ModelConfig config = small_config(PositionKind::kRope);
  write_model_folder(folder.path(), config, random_weights(config));
  write_pytorch_model(folder, random_weights(config));
  std::filesystem::remove(folder.file("model.safetensors"));
  std::string bytes = folder.read("pytorch_model.bin");
  bytes[bytes.size() / 2] ^= 1;
  folder.write("pytorch_model.bin", bytes);
  CHECK(message_of_load(folder.path()).find("CRC-32") != std::string::npos);
}

TEST_CASE("Baichuan: the first generation is refused, whatever its files are") {
  const TemporaryFolder folder;
  ModelConfig config = small_config(PositionKind::kRope);
  write_model_folder(folder.path(), config, {});
  write_pytorch_model(folder, random_weights(config));
  std::filesystem::remove(folder.file("model.safetensors"));
  config.vocab_size = 64'000;
  write_model_config(folder.file("config.json"), config);
  CHECK(message_of_load(folder.path()).find("first Baichuan generation") != std::string::npos);
}

TEST_CASE("Baichuan: loading tells how far it is, and small models tell nothing") {
  const TemporaryFolder folder;
  ModelConfig config = small_config(PositionKind::kRope);
  std::vector<int64_t> done;
  int64_t bytes = 0;
  const auto load = [&] {
    Baichuan(config, at::kFloat).save(folder.path());
    Baichuan::load(folder.path(), at::kFloat, [&](int64_t read, int64_t of) {
      done.push_back(read);
      bytes = of;
    });
  };
  load();
  CHECK(done.empty());
  config.vocab_size = 250'000;  // 48 MB, twice
  load();
  CHECK(bytes == 4 * parameter_count(config));
  REQUIRE(done.size() == 2);
  CHECK(done[0] >= 64 << 20);
  CHECK(done[1] == bytes);
}

}  // namespace radgpt
