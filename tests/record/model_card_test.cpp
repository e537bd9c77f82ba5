#include "libradgpt/record/model_card.h"

#include "libradgpt/base/error.h"
#include "tests/base/temporary_folder.h"
#include "tests/catch.h"

namespace radgpt {

namespace {

/// Stands wherever a run folder has something that may not leave the house.
const std::string kSecret = "SECRET7f3a";

constexpr const char* kManifest = R"({
  "written": "2026-11-29T05:30:42Z", "radgpt": "0.1.0", "libtorch": "2.11.0",
  "machine": {"processor": "one"}, "threads": 2, "type": "bf16", "seed": 3,
  "identity": {"base": "b0b0", "data": "dada"},
  "inputs": {"/data/SECRET7f3a/reports.jsonl": "feed01", "/data/b.jsonl": "feed02"},
  "counts": {"training examples": 160, "steps": 4, "trained parameters": 8448},
  "result": {"adapter_model.safetensors": "ca5e", "end": "finished"}})";

constexpr const char* kRecipe =
    R"(model: {path: /models/SECRET7f3a/Baichuan2-7B-Chat/, max_length: 512}
data: {sources: [{reports: [/data/SECRET7f3a/reports.jsonl], centre: SECRET7f3a}], salt: SECRET7f3a}
tasks:
  - {name: abnormal, kind: classification, question: SECRET7f3a, context: SECRET7f3a}
  - {name: "a|b", kind: generation, answer: SECRET7f3a}
lora: {rank: 8, targets: [W_pack, o_proj]}
train: {parameters: adapter, steps: 4}
output: {folder: /runs/SECRET7f3a}
)";

constexpr const char* kRecord = R"({"kind":"step","step":1,"loss":2.5}
{"kind":"evaluation","step":1,"loss":1.75}
{"kind":"note","text":"SECRET7f3a"}
{"kind":"step","step":2,"loss":null}
{"kind":"step","step":3,"loss":1.25}
{"kind":"evaluation","step":3,"loss":1.9}
)";

constexpr const char* kScores = R"([
  {"task":"abnormal","headline":"macro_f1","centre":null,"modality":null,"items":30,"systems":[
    {"system":"base","values":{"macro_f1":0.5}},
    {"system":"adapter","values":{"macro_f1":{"value":0.8125,"low":0.7,"high":0.9}}}]},
  {"task":"abnormal","headline":"macro_f1","centre":"SECRET7f3a","modality":null,"items":9,
   "systems":[{"system":"base","values":{"macro_f1":0.123}}]},
  {"task":"abnormal","headline":"macro_f1","centre":null,"modality":"CT","items":9,
   "systems":[{"system":"base","values":{"macro_f1":0.123}}]}])";

std::string card(const TemporaryFolder& folder, ModelCardKind kind, const std::string& run) {
  write_model_card(folder.path(),
                   {.kind = kind, .base = "/models/SECRET7f3a/bases/one", .run = run});
  return folder.read("README.md");
}

void write_run(const TemporaryFolder& folder) {
  folder.write("manifest.json", kManifest);
  folder.write("recipe.yaml", kRecipe);
  folder.write("run.jsonl", kRecord);
  folder.write("scores.json", kScores);
}

void check_has(const std::string& text, const std::vector<std::string>& parts) {
  INFO(text);
  for (const std::string& part : parts) {
    INFO("must have: " << part);
    CHECK(text.find(part) != std::string::npos);
  }
}

}  // namespace

TEST_CASE("Model card: says what the run folder says") {
  const TemporaryFolder run, out;
  write_run(run);
  const std::string text = card(out, ModelCardKind::kAdapter, run.path());
  CHECK(
      text.starts_with("---\nlanguage:\n- zh\nlibrary_name: peft\n"
                       "base_model: \"baichuan-inc/Baichuan2-7B-Chat\"\n"));
  check_has(text, {"license: other\n",
                   "pipeline_tag: text-generation\n",
                   "- lora\n---\n",
                   "## What it is",
                   "## Base",
                   "## Data",
                   "## Recipe",
                   "## Training",
                   "## Scores",
                   "## Intended use and limits",
                   "## How to load it",
                   "PeftModel",
                   "* `abnormal` (classification)",
                   "| training examples | 160 |",
                   "| SHA-256 of data file 1 | `feed01` |",
                   "| SHA-256 of data file 2 | `feed02` |",
                   "| lora.rank | 8 |",
                   "| lora.targets | W_pack, o_proj |",
                   "| loss of the last step | 1.25 |",
                   "| lowest validation loss | 1.75 |",
                   "| SHA-256 of adapter_model.safetensors | `ca5e` |",
                   "| end | finished |",
                   "| identity of the base | `b0b0` |",
                   "| abnormal | macro_f1 | 30 | 0.8125 | 0.5 |"});
}

TEST_CASE("Model card: no text, path, file name, centre or score of a part leaves the run folder") {
  const TemporaryFolder run, out;
  write_run(run);
  for (const ModelCardKind kind :
       {ModelCardKind::kAdapter, ModelCardKind::kModel, ModelCardKind::kMerged,
        ModelCardKind::kLlama, ModelCardKind::kGguf}) {
    for (const std::string& folder : {run.path(), std::string()}) {
      const std::string text = card(out, kind, folder);
      CHECK(text.find(kSecret) == std::string::npos);
      CHECK(text.find(run.path()) == std::string::npos);
      CHECK(text.find("/data") == std::string::npos);
      CHECK(text.find("0.123") == std::string::npos);
    }
  }
}

TEST_CASE("Model card: without a run it is short, and names the base") {
  const TemporaryFolder out;
  const std::string text = card(out, ModelCardKind::kLlama, "");
  check_has(text, {"library_name: transformers\n", "base_model: \"one\"\n", "LLaMA"});
  CHECK(text.find("## Training") == std::string::npos);
  CHECK(text.find("- lora") == std::string::npos);
}

TEST_CASE("Model card: a run without record or scores has none, one from random weights no base") {
  const TemporaryFolder run, out;
  run.write("manifest.json", kManifest);
  run.write("recipe.yaml", "model: {path: \"\"}\ntrain: {parameters: full}\nlora: {rank: 8}\n");
  const std::string text = card(out, ModelCardKind::kModel, run.path());
  check_has(text, {"trained from random weights", "| steps | 4 |"});
  for (const char* absent : {"base_model", "## Scores", "loss of", "lora.rank"}) {
    CHECK(text.find(absent) == std::string::npos);
  }
}

TEST_CASE("Model card: a bar in a name does not break a table") {
  const TemporaryFolder run, out;
  write_run(run);
  run.write("scores.json", R"([{"task":"a|b","headline":"f1","centre":null,"modality":null,)"
                           R"("items":1,"systems":[{"system":"base","values":{"f1":1}}]}])");
  check_has(card(out, ModelCardKind::kMerged, run.path()), {"| a\\|b | f1 | 1 | 1 |"});
}

TEST_CASE("Model card: a run folder that cannot be read is refused by file and key") {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"manifest.json", "{}"},
      {"manifest.json", "[SECRET7f3a"},
      {"recipe.yaml", "a: *SECRET7f3a"},
      {"run.jsonl", "{\"loss\": \"SECRET7f3a\"}\n"},
      {"scores.json", "{}"},
      {"scores.json", R"([{"task":1}])"},
  };
  for (const auto& [name, text] : table) {
    INFO(name << " " << text);
    const TemporaryFolder run, out;
    write_run(run);
    run.write(name, text);
    std::string message = "accepted";
    try {
      card(out, ModelCardKind::kAdapter, run.path());
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kInput);
      message = error.what();
    }
    INFO(message);
    CHECK(message.starts_with(run.file(name) + ":"));
    CHECK(message.find(kSecret) == std::string::npos);
    CHECK(out.entry_count() == 0);
  }
}

}  // namespace radgpt
