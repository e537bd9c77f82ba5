#include <ctime>
#include <string>
#include <vector>

#include "libradgpt/base/error.h"
#include "libradgpt/config/recipe_file.h"
#include "tests/catch.h"

namespace radgpt {
namespace {

/// A recipe without faults, to which each test adds one. It ends with the group `train`.
const std::string kSound =
    "model: {path: base}\n"
    "data:\n"
    "  sources:\n"
    "    - reports: [reports.jsonl]\n"
    "output: {folder: run}\n";

std::string refusal(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    parse_recipe(text, "r.yaml", overrides);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    return error.what();
  }
  return "accepted";
}

std::string refusal_of_file(const std::string& path) {
  try {
    read_recipe(path);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    return error.what();
  }
  return "accepted";
}

struct Case {
  const char* id;  ///< in the catalogue of bad inputs
  std::string added;
  std::string message;
};

TEST_CASE("Recipe faults: the sound recipe is accepted") { CHECK(refusal(kSound) == "accepted"); }

TEST_CASE("Recipe faults: a count that no file can reach is out of range") {
  CHECK(refusal(kSound, {"data.max_bad_lines=3000000000"})
            .find("data.max_bad_lines: must be a whole number in [0, 1000000000]") !=
        std::string::npos);
}

TEST_CASE("Recipe faults: YM01 and YM02, no file") {
  CHECK(refusal_of_file("no/such.yaml") == "no/such.yaml: no such file");
  CHECK(refusal_of_file("/") == "/: must be a file, got a folder");
}

TEST_CASE("Recipe faults: YM03 to YM06, a file that is not one map") {
  CHECK(refusal("") == "r.yaml: must be a map of fields, got nothing");
  CHECK(refusal("# only this\n") == "r.yaml: must be a map of fields, got nothing");
  CHECK(refusal("word") == "r.yaml:1:1: must be a map of fields, got text");
  CHECK(refusal("- a\n- b\n") == "r.yaml:1:1: must be a map of fields, got a list");
  CHECK(refusal(kSound + "---\na: 1\n") == "r.yaml:6:1: must be one document, got a second one");
}

TEST_CASE("Recipe faults: YM07 to YM15, fields and scalars") {
  const std::vector<Case> table = {
      {"YM07", "output: {folder: run}", "r.yaml:6:1: repeats a key of this map"},
      {"YM08", "lora: {rnak: 8}", "r.yaml:6:8: unknown field lora.rnak; did you mean rank?"},
      {"YM08", "lora: {rank: 8, zzz: 1}", "r.yaml:6:17: unknown field lora.zzz"},
      {"YM08", "rank: 8", "r.yaml:6:1: unknown field rank; did you mean lora.rank?"},
      {"YM08", "trian: {}", "r.yaml:6:1: unknown field trian; did you mean train?"},
      {"YM08", "双肺纹理增多: 1", "r.yaml:6:1: unknown field of 18 bytes"},
      {"YM09", "lora: {alpha: lots}",
       "r.yaml:6:15: lora.alpha: must be a number in (0, 1024], got \"lots\""},
      {"YM09", "lora: {rank: 8.5}",
       "r.yaml:6:14: lora.rank: must be a whole number in [1, 64], got \"8.5\""},
      {"YM09", "lora: {rank: \"8\"}",
       "r.yaml:6:14: lora.rank: must be a whole number in [1, 64], got the text \"8\""},
      {"YM09", "lora: {rank: [8]}",
       "r.yaml:6:14: lora.rank: must be a whole number in [1, 64], got a list"},
      {"YM09", "lora: 8", "r.yaml:6:7: lora: must be a map of fields, got \"8\""},
      {"YM09", "lora:", "r.yaml:6:1: lora: must be a map of fields, got nothing"},
      {"YM09", "lora: {targets: W_pack}",
       "r.yaml:6:17: lora.targets: must be a list of W_pack, q_proj, k_proj, v_proj, o_proj, "
       "gate_proj, up_proj, down_proj, all, got \"W_pack\""},
      {"YM09", "tasks: {name: a}", "r.yaml:6:8: tasks: must be a list of maps, got a map"},
      {"YM09", "tasks: [a]", "r.yaml:6:9: tasks.0: must be a map of fields, got \"a\""},
      {"YM09", "train: {head: [a]}", "r.yaml:6:15: train.head: must be text, got a list"},
      {"YM09", "train: {sharing: share}",
       "r.yaml:6:18: train.sharing: must be one of shared, packed, got \"share\"; did you mean "
       "shared?"},
      {"YM10", "optim: {learning_rate: -1}",
       "r.yaml:6:24: optim.learning_rate: must be a number in (0, 1], got \"-1\""},
      {"YM10", "optim: {learning_rate: 0}",
       "r.yaml:6:24: optim.learning_rate: must be a number in (0, 1], got \"0\""},
      {"YM10", "lora: {dropout: 1}",
       "r.yaml:6:17: lora.dropout: must be a number in [0, 1), got \"1\""},
      {"YM10", "train: {seed: -1}",
       "r.yaml:6:15: train.seed: must be a whole number, at least 0, got \"-1\""},
      {"YM11", "optim: {learning_rate: .nan}",
       "r.yaml:6:24: optim.learning_rate: must be a number in (0, 1], got \".nan\""},
      {"YM11", "optim: {learning_rate: nan}",
       "r.yaml:6:24: optim.learning_rate: must be a number in (0, 1], got \"nan\""},
      {"YM11", "optim: {clip_norm: inf}",
       "r.yaml:6:20: optim.clip_norm: must be a number in [0, 1e+06], got \"inf\""},
      {"YM11", "optim: {clip_norm: 1e999}",
       "r.yaml:6:20: optim.clip_norm: must be a number in [0, 1e+06], got \"1e999\""},
      {"YM12", "lora: {rank: 010}",
       "r.yaml:6:14: lora.rank: must be a whole number in [1, 64], got \"010\""},
      {"YM12", "lora: {rank: 0x10}",
       "r.yaml:6:14: lora.rank: must be a whole number in [1, 64], got \"0x10\""},
      {"YM13", "lora: {rslora: yes}",
       "r.yaml:6:16: lora.rslora: must be true or false, got \"yes\""},
      {"YM13", "lora: {rslora: on}", "r.yaml:6:16: lora.rslora: must be true or false, got \"on\""},
      {"YM13", "lora: {rslora: True}",
       "r.yaml:6:16: lora.rslora: must be true or false, got \"True\""},
      {"YM14", "train: {steps: 1_000}",
       "r.yaml:6:16: train.steps: must be a whole number, at least 0, got \"1_000\""},
      {"YM15", "train: {seed: 99999999999999999999}",
       "r.yaml:6:15: train.seed: must be a whole number, at least 0, got "
       "\"99999999999999999999\""},
  };
  for (const Case& row : table) {
    INFO(row.id << " " << row.added);
    CHECK(refusal(kSound + row.added + "\n") == row.message);
  }
}

TEST_CASE("Recipe faults: YM16 to YM26, the file's own rules") {
  const std::string deep = std::string(1000, '[') + std::string(1000, ']');
  const std::vector<Case> table = {
      {"YM16", "lora: !!python/object:os.system x", "r.yaml:6:7: tags are not allowed"},
      {"YM17", "lora: &l {rank: 8}", "r.yaml:6:7: anchors are not allowed"},
      {"YM17", "lora: *l", "r.yaml:6:7: must be YAML, got the referenced anchor is not defined"},
      {"YM18", "lora: {<<: {rank: 8}}", "r.yaml:6:8: merge keys are not allowed"},
      {"YM19", "lora: &l {rank: *l}", "r.yaml:6:7: anchors are not allowed"},
      {"YM20", "tasks: " + deep, "r.yaml:6:23: must not be nested deeper than 16 levels"},
      {"YM21", "# " + std::string(2 << 20, 'x'),
       "r.yaml: must be at most 1048576 bytes, got 2097245"},
      {"YM22", "lora:\n\trank: 8", "r.yaml:7:1: indentation must be spaces, got a tab"},
      {"YM23", "train: {head: \xFF\xFE}", "r.yaml:6:15: must be UTF-8"},
      {"YM24", std::string("train: {head: a\0b}", 18),
       "r.yaml:6:16: must not contain control characters, got byte 0"},
      {"YM26", "train:\n  head: \"a", "r.yaml:7:9: a quote is opened here and not closed"},
  };
  for (const Case& row : table) {
    INFO(row.id);
    CHECK(refusal(kSound + row.added + "\n") == row.message);
  }
}

TEST_CASE("Recipe faults: YM25, a byte order mark is accepted") {
  CHECK(refusal("\xEF\xBB\xBF" + kSound) == "accepted");
}

TEST_CASE("Recipe faults: YM27, required fields") {
  CHECK(refusal("model: {path: base}\n") ==
        "r.yaml: 2 fault(s)\n"
        "  r.yaml: data.sources: must be given, got nothing\n"
        "  r.yaml: output.folder: must be given, got nothing");
  CHECK(refusal(kSound + "tasks:\n  - kind: generation\n") ==
        "r.yaml: 2 fault(s)\n"
        "  r.yaml:7:5: tasks.0.name: must be given, got nothing\n"
        "  r.yaml:7:5: tasks.0.answer: must be given, got nothing");
}

TEST_CASE("Recipe faults: YM28 to YM35, what fields demand of each other") {
  const std::vector<Case> table = {
      {"YM28", "train: {epochs: 2, steps: 10}",
       "r.yaml:6:27: train.steps: excludes train.epochs, got 10 beside 2 epochs; one of them must "
       "be 0 or absent"},
      {"YM28", "train: {epochs: 0}",
       "r.yaml:6:17: train.epochs: must be above 0 where train.steps is 0, got 0"},
      {"YM30", "evaluate: {limit: 1}\nlora: {targets: [http://x/y]}",
       "r.yaml:7:18: lora.targets.0: must be one of W_pack, q_proj, k_proj, v_proj, o_proj, "
       "gate_proj, up_proj, down_proj, all, got \"http://x/y\""},
      {"YM31", "lora: {targets: [W_pack, p_proj]}",
       "r.yaml:6:26: lora.targets.1: must be one of W_pack, q_proj, k_proj, v_proj, o_proj, "
       "gate_proj, up_proj, down_proj, all, got \"p_proj\"; did you mean q_proj?"},
      {"YM31", "lora: {targets: [W_pack, v_proj]}",
       "r.yaml:6:17: lora.targets: must list W_pack or its thirds q_proj, k_proj, v_proj, not "
       "both"},
      {"YM28", "lora: {dora: true}\ndistributed: {base: sharded}",
       "r.yaml:6:14: lora.dora: must be false with distributed.base sharded, which holds no weight "
       "whole, got true"},
      {"YM28", "train: {parameters: full}\ndistributed: {base: sharded}",
       "r.yaml:6:21: train.parameters: must be adapter with distributed.base sharded, which holds "
       "no "
       "weight whole, got full"},
      {"YM31", "lora: {targets: []}", "r.yaml:6:17: lora.targets: must list a linear, got none"},
      {"YM31", "lora: {targets: [all, o_proj]}",
       "r.yaml:6:17: lora.targets: must be [all] alone, or without it"},
      {"YM31", "lora: {targets: [o_proj, o_proj]}",
       "r.yaml:6:17: lora.targets: must list a linear once"},
      {"YM32", "lora: {rank: 0}",
       "r.yaml:6:14: lora.rank: must be a whole number in [1, 64], got \"0\""},
      {"tasks", "tasks: []", "r.yaml:6:8: tasks: must list a task, got none"},
      {"tasks", "tasks: [{name: a, answer: x}, {name: a, answer: x}]",
       "r.yaml:6:38: tasks.1.name: must be its own, got \"a\" again"},
      {"tasks", "tasks: [{name: a, answer: \"{label:x}\", kind: classification}]",
       "r.yaml:6:9: tasks.0.labels: must be given for a classification"},
      {"tasks", "tasks: [{name: a, answer: \"{label:x}\", kind: classification, labels: [b]}]",
       "r.yaml:6:70: tasks.0.labels: must list two labels or more, got 1"},
      {"tasks",
       "tasks: [{name: a, answer: \"{label:x}\", kind: classification, labels: {b: c, d: c}}]",
       "r.yaml:6:70: tasks.0.labels: must have different values and answers, got \"c\" again"},
      {"tasks", "tasks: [{name: a, answer: x, labels: [b, c]}]",
       "r.yaml:6:38: tasks.0.labels: must be left out for a generation"},
      {"tasks", "tasks: [{name: a, answer: \"{label:x}\", kind: classification, labels: [b, []]}]",
       "r.yaml:6:74: tasks.0.labels: each answer must be text, got a list"},
      {"tasks", "tasks: [{name: \"\", answer: x}]", "r.yaml:6:16: tasks.0.name: must not be empty"},
      {"template", "tasks: [{name: a, answer: x, context: \"{findings\"}]",
       "r.yaml:6:39: tasks.0.context: every { must be closed by a }, got { without } at byte 0"},
      {"template", "tasks: [{name: a, answer: x, question: \"见{a b}\"}]",
       "r.yaml:6:40: tasks.0.question: a placeholder must be {FIELD} or {label:NAME}, got another "
       "at byte 3"},
      {"template", "tasks: [{name: a, answer: \"\"}]",
       "r.yaml:6:27: tasks.0.answer: must be a template, got nothing"},
      {"template", "tasks: [{name: a, answer: x, kind: classification, labels: [b, c]}]",
       "r.yaml:6:27: tasks.0.answer: must be a single {label:NAME} for a classification, got "
       "another template"},
      {"head", "train: {head: classifier}",
       "r.yaml:6:8: train.head_task: must name the task that the classifier learns"},
      {"head", "train: {head: classifier, head_task: no}",
       "r.yaml:6:38: train.head_task: must be one of the tasks, got \"no\""},
      {"head", "train: {head: classifier, head_task: summary}",
       "r.yaml:6:38: train.head_task: must be a classification, got \"summary\""},
      {"head", "train: {head_task: abnormal}",
       "r.yaml:6:20: train.head_task: must be left out for causal_lm, which answers every task"},
      {"head", "train: {head: classifier, head_task: abnormal, parameters: full}",
       "r.yaml:6:38: train.head_task: must be left out where train.parameters is full, whose "
       "model folder keeps no head"},
      {"sizes", "train: {pack_tokens: 2048}",
       "r.yaml:6:22: train.pack_tokens: must hold the largest example, 4096 tokens by "
       "data.max_tokens or model.max_length, got 2048"},
  };
  for (const Case& row : table) {
    INFO(row.id << " " << row.added);
    CHECK(refusal(kSound + row.added + "\n") == row.message);
  }
}

TEST_CASE("Recipe faults: the shape of a random base") {
  const std::string rest = "data: {sources: [{train: [a.jsonl]}]}\noutput: {folder: run}\n";
  const std::string shape =
      "model: {hidden_size: 32, intermediate_size: 64, layers: 2, heads: 4, position: rope";
  CHECK(refusal(shape + "}\n" + rest) == "accepted");
  CHECK(refusal(shape + ", path: base}\n" + rest).find("excludes model.path") != std::string::npos);
  CHECK(refusal(rest + "model: {hidden_size: 32, layers: 2, heads: 4, position: alibi}\n") ==
        "r.yaml:3:8: model.intermediate_size: must be given where model.path is not: the base is "
        "then initialised at random");
  CHECK(refusal(rest + "model: {hidden_size: 32, intermediate_size: 64, layers: 2, heads: 5, "
                       "position: alibi}\n") ==
        "r.yaml:3:67: model.heads: must divide model.hidden_size 32, got 5");
  CHECK(refusal(shape + "}\nlora: {rank: 64}\n" + rest) ==
        "r.yaml:2:14: lora.rank: must be at most model.hidden_size 32, got 64");
  CHECK(refusal(rest + "model: {hidden_size: 12, intermediate_size: 64, layers: 2, heads: 4, "
                       "position: rope}\n") ==
        "r.yaml:3:67: model.heads: must leave heads of an even size for rope, got 3");
}

TEST_CASE("Recipe faults: sources") {
  const auto with_sources = [](const std::string& sources) {
    return refusal("model: {path: base}\noutput: {folder: run}\ndata: {sources: " + sources +
                   "}\n");
  };
  CHECK(with_sources("[]") == "r.yaml:3:17: data.sources: must list a source, got none");
  CHECK(with_sources("[{centre: a}]") ==
        "r.yaml:3:18: data.sources.0: must list a file in train, validation, test or reports");
  CHECK(with_sources("[{train: [a], test: [a]}]") ==
        "r.yaml:3:18: data.sources.0: must list a file once, got \"a\" again");
  CHECK(with_sources("[{train: [\"\"]}]").find("must be a path, got the text \"\"") !=
        std::string::npos);
  CHECK(with_sources("[{train: [a]}], test_fraction: 0.6, validation_fraction: 0.5") ==
        "r.yaml:3:48: data.test_fraction: must leave reports to train on, got 0.6 beside "
        "validation_fraction 0.5");
  CHECK(with_sources("[{train: [a]}], max_tokens: 5000")
            .find("must be at most model.max_length 4096, got 5000") != std::string::npos);
}

TEST_CASE("Recipe faults: YM30 and YM35, paths that are no paths") {
  const auto with_path = [](const std::string& path) {
    return refusal("model: {path: \"" + path +
                   "\"}\noutput: {folder: run}\ndata: {sources: [{train: [a]}]}\n");
  };
  CHECK(with_path("https://host/model") ==
        "r.yaml:1:15: model.path: must be a local path, got a URL");
  CHECK(with_path("$HOME/model") ==
        "r.yaml:1:15: model.path: must be written out, as $NAME and ~ are not replaced, got the "
        "text \"$HOME/model\"");
  CHECK(with_path("~/model").find("must be written out") != std::string::npos);
}

TEST_CASE("Recipe faults: all are said at once, in the order of the file") {
  CHECK(refusal("model: {path: base}\ndata: {sources: [{train: [a]}]}\nlora:\n  rnak: 8\n"
                "  alpha: \"lots\"\n  dropout: 1.5\n") ==
        "r.yaml: 4 fault(s)\n"
        "  r.yaml:4:3: unknown field lora.rnak; did you mean rank?\n"
        "  r.yaml:5:10: lora.alpha: must be a number in (0, 1024], got the text \"lots\"\n"
        "  r.yaml:6:12: lora.dropout: must be a number in [0, 1), got \"1.5\"\n"
        "  r.yaml: output.folder: must be given, got nothing");
}

TEST_CASE("Recipe faults: a long value is shortened and shows no control character") {
  const std::string message =
      refusal(kSound + "lora: {alpha: \"a\\n" + std::string(100, 'x') + "\"}\n");
  CHECK(message.find("got the text \"a " + std::string(38, 'x') + "…\"") != std::string::npos);
}

/// Seconds of processor time that `refusal` takes, which the machine's load does not change.
double seconds_to_refuse(const std::string& text) {
  const std::clock_t start = std::clock();
  const std::string message = refusal(text);
  CHECK(message.find(" fault(s)\n") != std::string::npos);
  CHECK(message.find(" more") != std::string::npos);
  CHECK(message.size() < 10000);
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

TEST_CASE("Recipe faults: a megabyte of faults is refused within two seconds") {
  std::string keys = kSound;
  for (int i = 0; keys.size() < 1000000; ++i) keys += "rnak" + std::to_string(i) + ": 1\n";
  CHECK(seconds_to_refuse(keys) < 2);
  std::string tasks = kSound + "tasks:\n";
  while (tasks.size() < 1000000) tasks += "- {name: a}\n";
  CHECK(seconds_to_refuse(tasks) < 2);
}

}  // namespace
}  // namespace radgpt
