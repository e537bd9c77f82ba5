#include "libradgpt/config/recipe_file.h"

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "libradgpt/base/error.h"
#include "tests/catch.h"

namespace radgpt {
namespace {

const std::string kSmall =
    "model: {path: base}\n"
    "data: {sources: [{train: [a.jsonl], centre: north}]}\n"
    "output: {folder: run}\n";

std::string refusal(const std::string& text, const std::vector<std::string>& overrides) {
  try {
    parse_recipe(text, "r.yaml", overrides);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    return error.what();
  }
  return "accepted";
}

TEST_CASE("Recipe: what is not written has its default") {
  const Recipe recipe = parse_recipe(kSmall, "r.yaml");
  CHECK(recipe.file == "r.yaml");
  CHECK(recipe.model.path == "base");
  CHECK(recipe.lora.rank == 8);
  CHECK(recipe.lora.targets == std::vector<std::string>{"W_pack"});
  CHECK(recipe.optim.schedule == ScheduleChoice::kCosine);
  CHECK(recipe.train.epochs == 3);
  REQUIRE(recipe.tasks.size() == 4);
  CHECK(recipe.tasks[2].name == "summary");
  REQUIRE(recipe.data.sources.size() == 1);
  CHECK(recipe.data.sources[0].patient_field == "patient");
}

TEST_CASE("Recipe: every kind of field is read") {
  const Recipe recipe = parse_recipe(kSmall +
                                         "lora: {rank: 64, alpha: 2.5e1, dropout: 0, rslora: true, "
                                         "targets: [o_proj, down_proj]}\n"
                                         "train: {sharing: packed, seed: 9223372036854775807}\n"
                                         "tasks:\n"
                                         "  - name: grade\n"
                                         "    kind: classification\n"
                                         "    context: |-\n"
                                         "      {findings}\n"
                                         "      {impression}\n"
                                         "    answer: \"{label:grade}\"\n"
                                         "    labels: {1: 一级, yes: 二级}\n"
                                         "  - {name: side, kind: classification, "
                                         "answer: \"{label:side}\", labels: [左, 右]}\n",
                                     "r.yaml");
  CHECK(recipe.lora.rank == 64);
  CHECK(recipe.lora.alpha == 25);
  CHECK(recipe.lora.rslora);
  CHECK(recipe.lora.targets == std::vector<std::string>{"o_proj", "down_proj"});
  CHECK(recipe.train.sharing == SharingChoice::kPacked);
  CHECK(recipe.train.seed == INT64_MAX);
  REQUIRE(recipe.tasks.size() == 2);
  CHECK(recipe.tasks[0].kind == TaskKind::kClassification);
  CHECK(recipe.tasks[0].context == "{findings}\n{impression}");
  CHECK(recipe.tasks[0].labels == LabelList{{"1", "一级"}, {"yes", "二级"}});
  CHECK(recipe.tasks[1].labels == LabelList{{"左", "左"}, {"右", "右"}});
}

TEST_CASE("Recipe: written out, it is read as the same recipe, whatever its texts hold") {
  const std::string text =
      kSmall +
      "lora: {alpha: 0.1, dropout: 0.30000000000000004}\n"
      "optim: {epsilon: 1e-12}\n"
      "train: {steps: 7}\n"
      "tasks:\n"
      "  - name: \"- \\\"a\\\": #\\\\\"\n"
      "    context: \"\\ttab\\nline\\x01\\x7F中文\"\n"
      "    answer: \"{findings}: yes\"\n"
      "  - {name: ~b, kind: classification, answer: \"{label:b}\", labels: {\"yes\": "
      "\"no\", \"\": \"010\"}}\n";
  const std::string once = write_recipe(parse_recipe(text, "r.yaml"));
  const Recipe again = parse_recipe(once, "r.yaml");
  CHECK(write_recipe(again) == once);
  CHECK(again.lora.dropout == 0.30000000000000004);
  CHECK(again.train.steps == 7);
  CHECK(again.train.epochs == 0);
  CHECK(again.tasks[0].name == "- \"a\": #\\");
  CHECK(again.tasks[0].context == "\ttab\nline\x01\x7F中文");
  CHECK(again.tasks[1].labels == LabelList{{"yes", "no"}, {"", "010"}});
}

TEST_CASE("Recipe: the written form has every field") {
  const std::string text = write_recipe(parse_recipe(kSmall, "r.yaml"));
  CHECK(text.find("\n  sources:\n    - train: [\"a.jsonl\"]\n      validation: []\n") !=
        std::string::npos);
  CHECK(text.find("\nlora:\n  rank: 8\n  alpha: 16\n  dropout: 0.05\n  targets: [\"W_pack\"]\n"
                  "  rslora: false\n") != std::string::npos);
}

TEST_CASE("Recipe: steps alone take the place of epochs") {
  CHECK(parse_recipe(kSmall + "train: {steps: 5}\n", "r").train.epochs == 0);
  CHECK(parse_recipe(kSmall + "train: {steps: 0}\n", "r").train.epochs == 3);
  const Recipe steps = parse_recipe(kSmall + "train: {epochs: 2}\n", "r", {"train.steps=5"});
  CHECK(steps.train.epochs == 0);
  CHECK(steps.train.steps == 5);
  const Recipe epochs = parse_recipe(kSmall + "train: {steps: 5}\n", "r", {"train.epochs=2"});
  CHECK(epochs.train.epochs == 2);
  CHECK(epochs.train.steps == 0);
}

TEST_CASE("Recipe: arguments replace and add fields") {
  const Recipe recipe =
      parse_recipe(kSmall + "lora: {rank: 4}\n", "r.yaml",
                   {"lora.rank=16", "lora.targets=[W_pack, o_proj]", "data.sources.0.centre=south",
                    "train.seed=7", "model.tokenizer=", "output.folder=a=b", "lora.rslora=true"});
  CHECK(recipe.lora.rank == 16);
  CHECK(recipe.lora.targets == std::vector<std::string>{"W_pack", "o_proj"});
  CHECK(recipe.data.sources[0].centre == "south");
  CHECK(recipe.train.seed == 7);
  CHECK(recipe.model.tokenizer.empty());
  CHECK(recipe.output.folder == "a=b");
}

struct Override {
  std::string argument;
  std::string message;
};

TEST_CASE("Recipe: a faulty argument is the place of its fault") {
  const std::vector<Override> table = {
      {"lora.rank=lots",
       "argument \"lora.rank=lots\": lora.rank: must be a whole number in [1, 64], got \"lots\""},
      {"lora.rank=65",
       "argument \"lora.rank=65\": lora.rank: must be a whole number in [1, 64], got \"65\""},
      {"lora.rank=",
       "argument \"lora.rank=\": lora.rank: must be a whole number in [1, 64], got \"\""},
      {"lora.rnak=8", "argument \"lora.rnak=8\": unknown field lora.rnak; did you mean rank?"},
      {"lora.rank", "argument \"lora.rank\": must be FIELD=VALUE"},
      {"=8", "argument \"=8\": must be FIELD=VALUE"},
      {"lora.rank.x=8",
       "argument \"lora.rank.x=8\": lora.rank.x: must name a field, got an item "
       "or field that the recipe does not list"},
      {"data.sources.1.centre=x",
       "argument \"data.sources.1.centre=x\": data.sources.1.centre: must name a field, got an "
       "item or field that the recipe does not list"},
      {"lora.rank=&a 8", "argument \"lora.rank=&a 8\":1:1: anchors are not allowed"},
      {"model.path=", "r.yaml: 5 fault(s)"},
  };
  for (const Override& row : table) {
    INFO(row.argument);
    const std::string message = refusal(kSmall + "lora: {rank: 4}\n", {row.argument});
    CHECK(message.substr(0, message.find('\n')) == row.message);
  }
  CHECK(refusal(kSmall, {"lora.rank=1", "lora.rank=2"}) ==
        "argument \"lora.rank=2\": lora.rank: given by two arguments");
}

TEST_CASE("Recipe: faults of file and arguments are said together, the file's first") {
  CHECK(refusal(kSmall + "lora: {rank: 0}\n", {"lora.alpha=-1"}) ==
        "r.yaml: 2 fault(s)\n"
        "  r.yaml:4:14: lora.rank: must be a whole number in [1, 64], got \"0\"\n"
        "  argument \"lora.alpha=-1\": lora.alpha: must be a number in (0, 1024], got \"-1\"");
}

TEST_CASE("Recipe: help and table name every field once") {
  const std::string help = recipe_help();
  const std::string table = recipe_table();
  for (const char* path :
       {"lora.rank", "data.sources.N.train", "tasks.N.labels", "output.folder"}) {
    const std::string row = std::string("| `") + path + "` |";
    CHECK(table.find(row) != std::string::npos);
    CHECK(table.find(row) == table.rfind(row));
    CHECK(help.find(std::string("  ") + path + " = ") != std::string::npos);
  }
  CHECK(help.find("  lora.rank = 8  (a whole number in [1, 64])\n      adapter width\n") !=
        std::string::npos);
  CHECK(table.find("| `output.folder` | required | a path |") != std::string::npos);
}

/// A folder of its own, gone at the end of the test.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "recipe-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  std::string add(const std::string& name) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name) << "{}\n";
    return (path_ / name).string();
  }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

std::string check_of_paths(const Recipe& recipe) {
  try {
    check_paths(recipe);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    return error.what();
  }
  return "all there";
}

TEST_CASE("Recipe: YM29 and YM34, paths are looked up apart from the recipe") {
  const ScratchFolder folder;
  Recipe recipe = parse_recipe(kSmall, "r.yaml");
  recipe.model.path = folder / "base";
  recipe.model.tokenizer = folder / "tokenizer.model";
  recipe.data.sources[0].train = {folder / "a.jsonl"};
  recipe.output.folder = folder / "new/run";
  CHECK(check_of_paths(recipe) ==
        "r.yaml: 3 fault(s)\n"
        "  r.yaml: model.path: must be a folder with a config.json, got " +
            (folder / "base") +
            ": no such folder\n"
            "  r.yaml: model.tokenizer: must be a file that can be read, got " +
            (folder / "tokenizer.model") +
            ": no such file\n"
            "  r.yaml: data.sources.0.train.0: must be a file that can be read, got " +
            (folder / "a.jsonl") + ": no such file");
  CHECK(path_faults(recipe).size() == 3);
  folder.add("base/config.json");
  folder.add("tokenizer.model");
  folder.add("a.jsonl");
  CHECK(check_of_paths(recipe) == "all there");
  recipe.output.folder = folder / "a.jsonl";
  CHECK(check_of_paths(recipe) ==
        "r.yaml: output.folder: must be a folder, got a file " + (folder / "a.jsonl"));
  recipe.output.folder = folder / "a.jsonl/run";
  CHECK(check_of_paths(recipe).find("must be a folder, got a file") != std::string::npos);
  if (geteuid() != 0) {  // nothing is forbidden to root
    recipe.output.folder = "/run-of-radgpt";
    CHECK(check_of_paths(recipe) ==
          "r.yaml: output.folder: must be a folder that can be written, got no permission at /");
  }
  recipe.output.folder = folder / "run";
  recipe.model.path = folder / "a.jsonl";
  CHECK(check_of_paths(recipe).find("got a file " + (folder / "a.jsonl")) != std::string::npos);
}

}  // namespace
}  // namespace radgpt
