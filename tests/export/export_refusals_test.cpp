#include <sched.h>
#include <sys/mount.h>
#include <torch/types.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <iostream>
#include <thread>

#include "libradgpt/base/error.h"
#include "libradgpt/export/staged_folder.h"
#include "tests/catch.h"
#include "tests/export/export_case.h"

namespace radgpt {

namespace {

namespace fs = std::filesystem;

using Spoil = std::function<void(const ExportCase&, ExportOptions&)>;

struct Refusal {
  std::string name;
  PositionKind position;
  Spoil spoil;
  ErrorKind kind;
  std::string said;
};

Spoil layout(ExportLayout wanted) {
  return [wanted](const ExportCase&, ExportOptions& options) { options.layout = wanted; };
}

/// Another number in the last place of the embedding, a row that no probe reads.
Spoil embedding(double value) {
  return [value](const ExportCase& merge, ExportOptions&) {
    merge.change_base("model.embed_tokens.weight", value);
  };
}

Spoil text(const std::string& file, const std::string& bytes) {
  return [=](const ExportCase& merge, ExportOptions&) { merge.folder().write(file, bytes); };
}

/// A file of the base that is a link to one outside of it.
Spoil link_out(const std::string& name) {
  return [name](const ExportCase& merge, ExportOptions&) {
    merge.folder().write("elsewhere", "{}");
    fs::create_symlink("../elsewhere", merge.base() + "/" + name);
  };
}

void spoil_run(const ExportCase& merge, ExportOptions&) {
  merge.folder().write("recipe.yaml", "model:\n  path: base\n");
  merge.folder().write("manifest.json", "[]");
}

void ask_for_q8(const ExportCase& merge, ExportOptions& options) {
  ModelConfig config = merge.config();
  config.hidden_size = 48;
  write_model_config(merge.base() + "/config.json", config);
  options.layout = ExportLayout::kGguf;
  options.encoding = TensorEncoding::kQ8_0;
}

void ask_for_fp16(const ExportCase& merge, ExportOptions& options) {
  embedding(1e6)(merge, options);
  options.encoding = TensorEncoding::kFp16;
}

void take_adapter_of_deeper_model(const ExportCase& merge, ExportOptions&) {
  const ExportCase other(export_config(PositionKind::kRope, 3));
  for (const char* name : {"adapter_config.json", "adapter_model.safetensors"}) {
    const std::string file = std::string("adapter/") + name;
    merge.folder().write(file, read_text(other.folder().file(file)));
  }
}

const std::vector<Refusal> kOptions = {
    {"no adapter", PositionKind::kRope,
     [](const ExportCase&, ExportOptions& options) { options.adapter.clear(); }, ErrorKind::kInput,
     "must be given an adapter"},
    {"ALiBi as LLaMA", PositionKind::kAlibi, layout(ExportLayout::kLlama), ErrorKind::kInput,
     "must be of the RoPE (7B) kind to become a LLaMA model"},
    {"ALiBi at a depth of its own", PositionKind::kAlibi, layout(ExportLayout::kGguf),
     ErrorKind::kInput, "num_hidden_layers: must be 40 for an ALiBi model"},
    {"q8_0 in safetensors", PositionKind::kRope,
     [](const ExportCase&, ExportOptions& options) { options.encoding = TensorEncoding::kQ8_0; },
     ErrorKind::kInput, "type must be bf16, fp16 or fp32"},
    {"q8_0 of columns that are no blocks", PositionKind::kRope, ask_for_q8, ErrorKind::kInput,
     "hidden_size: must be a multiple of 32 for q8_0, got 48"},
};

const std::vector<Refusal> kCompanions = {
    {"a broken generation_config.json", PositionKind::kRope,
     text("base/generation_config.json", R"({"top_k":-1})"), ErrorKind::kInput,
     "generation_config.json: top_k"},
    {"a tokenizer_config.json that is a list", PositionKind::kRope,
     text("base/tokenizer_config.json", "[]"), ErrorKind::kInput,
     "tokenizer_config.json: must be a JSON object"},
    {"a tokenizer.model that is none", PositionKind::kRope, text("base/tokenizer.model", "x"),
     ErrorKind::kInput, "tokenizer.model: "},
    {"a run with a broken manifest", PositionKind::kRope, spoil_run, ErrorKind::kInput,
     "manifest.json: "},
    {"generation_config.json elsewhere", PositionKind::kRope, link_out("generation_config.json"),
     ErrorKind::kInput, "generation_config.json: must be in the folder, got a link"},
    {"tokenizer_config.json elsewhere", PositionKind::kRope, link_out("tokenizer_config.json"),
     ErrorKind::kInput, "tokenizer_config.json: must be in the folder, got a link"},
    {"special_tokens_map.json elsewhere", PositionKind::kRope, link_out("special_tokens_map.json"),
     ErrorKind::kInput, "special_tokens_map.json: must be in the folder, got a link"},
    {"code elsewhere", PositionKind::kRope, link_out("modeling_baichuan.py"), ErrorKind::kInput,
     "modeling_baichuan.py: must be in the folder, got a link"},
    {"code that a broken link names", PositionKind::kRope,
     [](const ExportCase& merge, ExportOptions&) {
       fs::create_symlink("none", merge.base() + "/modeling_baichuan.py");
     },
     ErrorKind::kInput, "modeling_baichuan.py: "},
    {"a base whose name is not UTF-8", PositionKind::kRope,
     [](const ExportCase& merge, ExportOptions& options) {
       options.model += "\xFF";
       fs::rename(merge.base(), options.model);
     },
     ErrorKind::kInput, "the folder's name must be UTF-8"},
    {"special_tokens_map.json a link to itself", PositionKind::kRope,
     [](const ExportCase& merge, ExportOptions&) {
       fs::create_symlink("special_tokens_map.json", merge.base() + "/special_tokens_map.json");
     },
     ErrorKind::kInput, "special_tokens_map.json: "},
    {"out a link to itself", PositionKind::kRope,
     [](const ExportCase& merge, ExportOptions&) { fs::create_symlink("out", merge.out()); },
     ErrorKind::kInput, "must be absent or an empty folder"},
    {"out a broken link", PositionKind::kRope,
     [](const ExportCase& merge, ExportOptions&) { fs::create_symlink("none", merge.out()); },
     ErrorKind::kInput, "must be absent or an empty folder"},
};

const std::vector<Refusal> kWeights = {
    {"no such adapter", PositionKind::kRope,
     [](const ExportCase&, ExportOptions& options) { options.adapter += "-none"; },
     ErrorKind::kInput, "no such file"},
    {"NaN in a row that no probe reads", PositionKind::kRope, embedding(NAN), ErrorKind::kInput,
     "model.embed_tokens.weight: must be finite"},
    {"infinity in it", PositionKind::kRope, embedding(INFINITY), ErrorKind::kInput,
     "model.embed_tokens.weight: must be finite"},
    {"a number above fp16 in it", PositionKind::kRope, ask_for_fp16, ErrorKind::kInput,
     "within the range of fp16"},
    {"NaN in the way of the probes", PositionKind::kRope,
     [](const ExportCase& merge, ExportOptions&) {
       merge.change_base("model.layers.0.mlp.down_proj.weight", NAN);
     },
     ErrorKind::kNumeric, "merged logits must be within"},
    {"an adapter of a deeper model", PositionKind::kRope, take_adapter_of_deeper_model,
     ErrorKind::kInput, "must belong to a linear that adapter_config.json targets in this model"},
};

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
  for (const std::vector<Refusal>* table : {&kOptions, &kCompanions, &kWeights}) {
    for (const Refusal& row : *table) {
      INFO(row.name);
      const ExportCase merge(export_config(row.position));
      // What is refused before the weights are read is refused whatever they are.
      if (table != &kWeights) merge.folder().write("base/model.safetensors", "none");
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
}

TEST_CASE("Export: a folder with something in it is left as it is") {
  const ExportCase merge(export_config(PositionKind::kRope));
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
  const ExportCase merge(export_config(PositionKind::kRope));
  fs::create_directory(merge.out());
  export_model(merge.options());
  CHECK(fs::exists(merge.out() + "/config.json"));
  ExportOptions options = merge.options();
  options.out = merge.folder().file("new/deep/");
  export_model(options);
  CHECK(fs::exists(merge.folder().file("new/deep/config.json")));
  CHECK(merge.folder().entry_count() == 4);  // base, adapter, out, new
}

TEST_CASE("Export: out may be a link to an empty folder, or the working folder") {
  const ExportCase merge(export_config(PositionKind::kRope));
  fs::create_directory(merge.folder().file("there"));
  fs::create_directory_symlink("there", merge.out());
  export_model(merge.options());
  CHECK(fs::is_symlink(merge.out()));
  CHECK(fs::exists(merge.folder().file("there/config.json")));

  const fs::path before = fs::current_path();
  fs::create_directory(merge.folder().file("here"));
  fs::current_path(merge.folder().file("here"));
  ExportOptions options = merge.options();
  options.model = "../base";
  options.adapter = "../adapter";
  options.out = ".";
  export_model(options);
  fs::current_path(before);
  CHECK(fs::exists(merge.folder().file("here/config.json")));
  CHECK(merge.folder().entry_count() == 5);  // base, adapter, there, out, here
}

TEST_CASE("Export: a mount point, which cannot be replaced, is refused at once") {
  const TemporaryFolder folder;
  fs::create_directory(folder.file("out"));
  std::string message = "accepted";
  // A thread of its own, whose mounts nobody else sees and which are gone with it.
  std::thread([&] {
    if (unshare(CLONE_NEWNS) != 0 ||
        mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("none", folder.file("out").c_str(), "tmpfs", 0, nullptr) != 0) {
      message = "skipped";
      return;
    }
    try {
      const StagedFolder staged(folder.file("out"));
    } catch (const Error& error) {
      message = concat(error.exit_code(), " ", error.what());
    }
  }).join();
  if (message == "skipped") {
    std::cout << "skipped: no right to mount\n";
    return;
  }
  INFO(message);
  CHECK(message.starts_with("4 " + folder.file("out") + ": cannot be replaced: "));
  CHECK(folder.entry_count() == 1);
}

}  // namespace radgpt
