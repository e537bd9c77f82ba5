#include <torch/types.h>

#include <cmath>
#include <cstring>

#include "libradgpt/export/gguf_model.h"
#include "tests/catch.h"
#include "tests/data/small_tokenizer.h"
#include "tests/export/export_case.h"
#include "tests/formats/gguf_reader.h"

namespace radgpt {

namespace {

constexpr int64_t kHeads = 4;
constexpr int64_t kHead = 16;

/// llama.cpp turns neighbours: row i + 8j of a head becomes row 2i + j.
at::Tensor in_file_order(const at::Tensor& rows) {
  at::Tensor moved = at::empty_like(rows);
  for (int64_t head = 0; head < kHeads; ++head) {
    for (int64_t i = 0; i < kHead / 2; ++i) {
      for (int64_t j = 0; j < 2; ++j) {
        moved[head * kHead + 2 * i + j] = rows[head * kHead + i + j * kHead / 2];
      }
    }
  }
  return moved;
}

Weights under_file_names(const Weights& weights, int64_t layers) {
  Weights named = {{"token_embd.weight", weights.at("model.embed_tokens.weight")},
                   {"output_norm.weight", weights.at("model.norm.weight")},
                   {"output.weight", weights.at("lm_head.weight")}};
  for (int64_t i = 0; i < layers; ++i) {
    const std::string from = "model.layers." + std::to_string(i) + ".";
    const std::string to = "blk." + std::to_string(i) + ".";
    named[to + "attn_norm.weight"] = weights.at(from + "input_layernorm.weight");
    const auto parts = weights.at(from + "self_attn.W_pack.weight").chunk(3);
    named[to + "attn_q.weight"] = in_file_order(parts[0]);
    named[to + "attn_k.weight"] = in_file_order(parts[1]);
    named[to + "attn_v.weight"] = parts[2];
    named[to + "attn_output.weight"] = weights.at(from + "self_attn.o_proj.weight");
    named[to + "ffn_norm.weight"] = weights.at(from + "post_attention_layernorm.weight");
    named[to + "ffn_gate.weight"] = weights.at(from + "mlp.gate_proj.weight");
    named[to + "ffn_up.weight"] = weights.at(from + "mlp.up_proj.weight");
    named[to + "ffn_down.weight"] = weights.at(from + "mlp.down_proj.weight");
  }
  return named;
}

/// The numbers that a tensor's bytes stand for, in the order of the file.
at::Tensor numbers_of(const GgufReader& file, const std::string& name, int64_t count) {
  const uint32_t type = file.tensors.at(name).type;
  if (type == 8) {
    const std::string bytes = file.data(name, static_cast<uint64_t>(count / 32 * 34));
    std::vector<double> numbers;
    for (size_t block = 0; block < bytes.size(); block += 34) {
      c10::Half step;
      std::memcpy(&step.x, &bytes[block], 2);
      for (size_t i = 2; i < 34; ++i) {
        numbers.push_back(double{static_cast<float>(step)} * static_cast<int8_t>(bytes[block + i]));
      }
    }
    return at::tensor(numbers, at::kDouble);
  }
  const at::ScalarType scalar = type == 0 ? at::kFloat : type == 1 ? at::kHalf : at::kBFloat16;
  at::Tensor numbers = at::empty({count}, scalar);
  const std::string bytes = file.data(name, numbers.nbytes());
  std::memcpy(numbers.data_ptr(), bytes.data(), bytes.size());
  return numbers.to(at::kDouble);
}

/// What an encoding may be away from the exact number: half a step of its own, of 32 neighbours for
/// q8_0, whose step is rounded to fp16 besides.
at::Tensor allowed_error(const at::Tensor& exact, uint32_t type) {
  const at::Tensor size = exact.flatten().abs();
  if (type == 8) {
    const at::Tensor largest = size.view({-1, 32}).amax(1, true).expand({-1, 32}).reshape(-1);
    return largest * (0.5 / 127 + 0x1p-11) + 0x1p-22;
  }
  const double share = type == 0 ? 0x1p-22 : type == 1 ? 0x1p-11 : 0x1p-8;
  return size * (share + 0x1p-22) + 0x1p-22;
}

void check_tensors(const GgufReader& file, const Weights& exact, uint32_t type_of_matrices) {
  REQUIRE(file.tensors.size() == exact.size());
  for (const auto& [name, values] : exact) {
    INFO(name);
    REQUIRE(file.tensors.contains(name));
    const GgufReader::Tensor& tensor = file.tensors.at(name);
    std::vector<uint64_t> sizes(values.sizes().rbegin(), values.sizes().rend());
    CHECK(tensor.sizes == sizes);
    CHECK(tensor.offset % 32 == 0);
    CHECK(tensor.type == (values.dim() == 1 ? 0 : type_of_matrices));
    const at::Tensor got = numbers_of(file, name, values.numel());
    CHECK(
        ((got - values.flatten()).abs() <= allowed_error(values, tensor.type)).all().item<bool>());
  }
}

const std::map<std::string, double> kNumbers = {
    {"baichuan.block_count", 40},
    {"baichuan.context_length", 128},
    {"baichuan.embedding_length", 64},
    {"baichuan.feed_forward_length", 96},
    {"baichuan.attention.head_count", 4},
    {"baichuan.attention.head_count_kv", 4},
    {"baichuan.rope.dimension_count", 16},
    {"baichuan.attention.layer_norm_rms_epsilon", double{1e-6F}},
    {"general.quantization_version", 2},
    {"general.file_type", 0},
    {"tokenizer.ggml.bos_token_id", 1},
    {"tokenizer.ggml.eos_token_id", 2},
    {"tokenizer.ggml.unknown_token_id", 0},
    {"tokenizer.ggml.padding_token_id", 0},
    {"tokenizer.ggml.add_bos_token", 0},
    {"tokenizer.ggml.add_eos_token", 0},
    {"tokenizer.ggml.add_space_prefix", 0}};

GgufReader exported(const ExportCase& merge, std::optional<TensorEncoding> encoding) {
  ExportOptions options = merge.options(ExportLayout::kGguf);
  options.encoding = encoding;
  const ExportResult result = export_model(options);
  GgufReader file(read_text(result.result));
  CHECK(std::filesystem::exists(merge.out() + "/README.md"));
  std::filesystem::remove_all(merge.out());
  return file;
}

}  // namespace

TEST_CASE("GGUF export: every tensor has the merged weights, in the order of llama.cpp") {
  const ExportCase merge(export_config(PositionKind::kRope));
  const Weights exact = under_file_names(merge.merged(), 2);
  check_tensors(exported(merge, std::nullopt), exact, 0);
  check_tensors(exported(merge, TensorEncoding::kFp16), exact, 1);
  check_tensors(exported(merge, TensorEncoding::kQ8_0), exact, 8);
  check_tensors(exported(merge, TensorEncoding::kBf16), exact, 30);
}

TEST_CASE("GGUF export: the base alone, of the type it has") {
  const ExportCase merge(export_config(PositionKind::kRope, 2, DataType::kBF16));
  ExportOptions options = merge.options(ExportLayout::kGguf);
  options.adapter.clear();
  const ExportResult result = export_model(options);
  CHECK(result.result == merge.out() + "/model-bf16.gguf");
  CHECK(!result.check);
  const GgufReader file(read_text(result.result));
  check_tensors(file, under_file_names(merge.plain(), 2), 30);
  CHECK(file.texts.at("general.name") == "base");
  CHECK(file.numbers.at("general.file_type") == 32);
}

TEST_CASE("GGUF export: metadata are those that llama.cpp's own converter writes") {
  const ExportCase merge(export_config(PositionKind::kAlibi, 40));
  const GgufReader file = exported(merge, std::nullopt);
  check_tensors(file, under_file_names(merge.merged(), 40), 0);
  CHECK(file.texts.at("general.architecture") == "baichuan");
  CHECK(file.texts.at("tokenizer.ggml.model") == "llama");
  for (const auto& [key, value] : kNumbers) {
    INFO(key);
    CHECK(file.numbers.at(key) == value);
  }
}

TEST_CASE("GGUF export: the vocabulary is that of tokenizer.model with its scores and types") {
  const ExportCase merge(export_config(PositionKind::kRope));
  const GgufReader file = exported(merge, std::nullopt);
  const std::vector<std::string>& pieces = file.text_lists.at("tokenizer.ggml.tokens");
  const std::vector<double>& scores = file.number_lists.at("tokenizer.ggml.scores");
  const std::vector<double>& types = file.number_lists.at("tokenizer.ggml.token_type");
  const std::vector<Piece> expected =
      read_tokenizer_model(merge.base() + "/tokenizer.model").pieces;
  REQUIRE(pieces.size() == expected.size());
  REQUIRE(scores.size() == expected.size());
  REQUIRE(types.size() == expected.size());
  for (size_t id = 0; id < expected.size(); ++id) {
    INFO(id);
    CHECK(pieces[id] == expected[id].text);
    CHECK(scores[id] == double{expected[id].score});
  }
  CHECK((types[0] == 2 && types[1] == 3 && types[2] == 3));
  CHECK((pieces[195] == "<reserved_106>" && types[195] == 4));
  CHECK((pieces[1089] == "<0x00>" && types[1089] == 6));
  CHECK(types[1345] == 1);
  CHECK(file.texts.at("tokenizer.chat_template").find("<reserved_107>") != std::string::npos);
}

TEST_CASE("GGUF export: a space in a user-defined piece is written as one") {
  SentencePieceModel tokenizer = read_tokenizer_model(
      ExportCase(export_config(PositionKind::kRope)).base() + "/tokenizer.model");
  tokenizer.pieces[7].text = "▁▁";  // user-defined
  const GgufMetadata metadata =
      gguf_metadata(export_config(PositionKind::kRope), tokenizer, TensorEncoding::kFp32, "name");
  int lists = 0;
  for (const auto& [key, value] : metadata) {
    if (key != "tokenizer.ggml.tokens") continue;
    ++lists;
    CHECK(std::get<std::vector<std::string>>(value).at(7) == "  ");
  }
  CHECK(lists == 1);
}

TEST_CASE("GGUF export: the architecture is one that computes the model at its depth") {
  const auto of = [](PositionKind position, int64_t layers) {
    return gguf_architecture(export_config(position, layers), "c.json");
  };
  CHECK(of(PositionKind::kRope, 32) == "baichuan");
  CHECK(of(PositionKind::kRope, 40) == "llama");
  CHECK(of(PositionKind::kRope, 2) == "llama");
  CHECK(of(PositionKind::kAlibi, 40) == "baichuan");
}

}  // namespace radgpt
