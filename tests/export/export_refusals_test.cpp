#include <torch/types.h>

#include <cmath>
#include <filesystem>
#include <functional>

#include "libradgpt/base/error.h"
#include "tests/catch.h"
#include "tests/export/export_case.h"

namespace radgpt {

namespace {

namespace fs = std::filesystem;

struct Refusal {
  std::string name;
  ModelConfig config;
  std::function<void(const ExportCase&, ExportOptions&)> spoil;
  ErrorKind kind;
  std::string said;
};

const ModelConfig kRope = export_config(PositionKind::kRope);
const ModelConfig kAlibi = export_config(PositionKind::kAlibi);

ModelConfig with_hidden_size(int64_t size) {
  ModelConfig config = kRope;
  config.hidden_size = size;
  return config;
}

void change_text(const ExportCase& merge, const std::string& name, const std::string& text) {
  merge.folder().write(name, text);
}

std::vector<Refusal> refusals() {
  const auto layout = [](ExportLayout wanted) {
    return [wanted](const ExportCase&, ExportOptions& options) { options.layout = wanted; };
  };
  const auto encoded = [](TensorEncoding encoding) {
    return [encoding](const ExportCase&, ExportOptions& options) {
      options.layout = ExportLayout::kGguf;
      options.encoding = encoding;
    };
  };
  const auto weight = [](const std::string& name, double value) {
    return [=](const ExportCase& merge, ExportOptions&) { merge.change_base(name, value); };
  };
  return {
      {"no adapter", kRope, [](const ExportCase&, ExportOptions& o) { o.adapter.clear(); },
       ErrorKind::kInput, "must be given an adapter"},
      {"ALiBi as LLaMA", kAlibi, layout(ExportLayout::kLlama), ErrorKind::kInput,
       "must be of the RoPE (7B) kind to become a LLaMA model"},
      {"ALiBi at a depth of its own", kAlibi, layout(ExportLayout::kGguf), ErrorKind::kInput,
       "num_hidden_layers: must be 40 for an ALiBi model"},
      {"q8_0 in safetensors", kRope,
       [](const ExportCase&, ExportOptions& o) { o.encoding = TensorEncoding::kQ8_0; },
       ErrorKind::kInput, "type must be bf16, fp16 or fp32"},
      {"q8_0 of odd columns", with_hidden_size(48), encoded(TensorEncoding::kQ8_0),
       ErrorKind::kInput, "hidden_size: must be a multiple of 32 for q8_0, got 48"},
      {"a number in a row that no probe reads", kRope, weight("model.embed_tokens.weight", NAN),
       ErrorKind::kInput, "model.embed_tokens.weight: must be finite"},
      {"infinity", kRope, weight("model.embed_tokens.weight", INFINITY), ErrorKind::kInput,
       "model.embed_tokens.weight: must be finite"},
      {"NaN in the way of the probes", kRope, weight("model.norm.weight", NAN), ErrorKind::kNumeric,
       "merged logits must be within"},
      {"a number above fp16", kRope,
       [](const ExportCase& merge, ExportOptions& o) {
         merge.change_base("model.embed_tokens.weight", 1e6);
         o.encoding = TensorEncoding::kFp16;
       },
       ErrorKind::kInput, "within the range of fp16"},
      {"an adapter of a deeper model", kRope,
       [](const ExportCase& merge, ExportOptions&) {
         const ExportCase other(export_config(PositionKind::kRope, 3));
         for (const char* name : {"adapter_config.json", "adapter_model.safetensors"}) {
           const std::string file = std::string("adapter/") + name;
           change_text(merge, file, read_text(other.folder().file(file)));
         }
       },
       ErrorKind::kInput, "adapter_model.safetensors: "},
      {"no such adapter", kRope,
       [](const ExportCase& merge, ExportOptions& o) { o.adapter = merge.folder().file("none"); },
       ErrorKind::kInput, "no such file"},
      {"a broken generation_config.json", kRope,
       [](const ExportCase& merge, ExportOptions&) {
         change_text(merge, "base/generation_config.json", R"({"top_k":-1})");
       },
       ErrorKind::kInput, "generation_config.json: top_k"},
      {"a tokenizer_config.json that is a list", kRope,
       [](const ExportCase& merge, ExportOptions&) {
         change_text(merge, "base/tokenizer_config.json", "[]");
       },
       ErrorKind::kInput, "tokenizer_config.json: must be a JSON object"},
      {"no tokenizer", kRope,
       [](const ExportCase& merge, ExportOptions&) {
         fs::remove(merge.base() + "/tokenizer.model");
       },
       ErrorKind::kInput, "tokenizer.model: no such file"},
  };
}

std::string message_of(const ExportOptions& options, ErrorKind kind) {
  try {
    export_model(options);
  } catch (const Error& error) {
    CHECK(error.kind() == kind);
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("Export: what cannot be exported is refused, and nothing is left behind") {
  for (const Refusal& row : refusals()) {
    INFO(row.name);
    const ExportCase merge(row.config);
    ExportOptions options = merge.options();
    row.spoil(merge, options);
    const size_t before = merge.folder().entry_count();
    const std::string message = message_of(options, row.kind);
    INFO(message);
    CHECK(message.find(row.said) != std::string::npos);
    CHECK(message.find('\n') == std::string::npos);
    CHECK(merge.folder().entry_count() == before);
  }
}

TEST_CASE("Export: a folder with something in it is left as it is") {
  const ExportCase merge(kRope);
  fs::create_directory(merge.out());
  merge.folder().write("out/mine.txt", "mine");
  CHECK(message_of(merge.options(), ErrorKind::kInput) ==
        merge.out() + ": must be absent or an empty folder, got something");
  CHECK(read_text(merge.out() + "/mine.txt") == "mine");
  fs::remove_all(merge.out());
  merge.folder().write("out", "a file");
  CHECK(message_of(merge.options(), ErrorKind::kInput).find("must be absent or an empty folder") !=
        std::string::npos);
}

TEST_CASE("Export: an empty folder is filled, and one further down is made") {
  const ExportCase merge(kRope);
  fs::create_directory(merge.out());
  export_model(merge.options());
  CHECK(fs::exists(merge.out() + "/config.json"));
  ExportOptions options = merge.options();
  options.out = merge.folder().file("new/deep/");
  export_model(options);
  CHECK(fs::exists(merge.folder().file("new/deep/config.json")));
  CHECK(merge.folder().entry_count() == 4);  // base, adapter, out, new
}

}  // namespace radgpt
