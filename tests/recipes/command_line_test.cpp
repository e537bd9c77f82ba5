#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "libradgpt/base/error.h"
#include "libradgpt/base/files.h"
#include "tests/catch.h"
#include "tests/recipes/process.h"

namespace radgpt {
namespace {

/// A recipe file that is gone at the end of the test.
class RecipeFile {
 public:
  explicit RecipeFile(const std::string& text) {
    std::string name = (std::filesystem::temp_directory_path() / "recipe-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    folder_ = name;
    std::ofstream(folder_ / "r.yaml") << text;
  }
  ~RecipeFile() { std::filesystem::remove_all(folder_); }
  std::string path() const { return (folder_ / "r.yaml").string(); }

 private:
  std::filesystem::path folder_;
};

/// One line that begins with "error: ", nothing on stdout, within two seconds.
void check_refusal(const std::vector<std::string>& arguments, int exit_code,
                   const std::string& message) {
  const ProcessResult result = run_radgpt(arguments);
  INFO(result.errors);
  CHECK(result.exit_code == exit_code);
  CHECK(result.output.empty());
  CHECK(result.errors.starts_with("error: "));
  CHECK(std::count(result.errors.begin(), result.errors.end(), '\n') == 1);
  CHECK(result.errors.find(message) != std::string::npos);
  CHECK(result.seconds < 2);
}

struct Case {
  const char* id;  ///< in the catalogue of bad inputs
  std::vector<std::string> arguments;
  std::string message;
};

TEST_CASE("Command line: CL01 to CL04 are one line and exit code 2") {
  const std::vector<Case> table = {
      {"CL01", {"--fast"}, "unknown option --fast"},
      {"CL01", {"recipes", "list", "--fast"}, "--fast"},
      {"CL01", {"plan", "recipes/quickstart.yaml", "--fast"}, "--fast"},
      {"CL02", {"simulate", "--out"}, "--out"},
      {"CL03", {"simulate", "--out", "/nowhere/x", "--reports", "-1"}, "--reports"},
      {"CL03", {"simulate", "--out", "/nowhere/x", "--reports", "many"}, "--reports"},
      {"CL04",
       {"trian", "recipes/quickstart.yaml"},
       "error: unknown verb trian; did you mean train? (see radgpt --help)"},
      {"CL04",
       {"recipes", "lst"},
       "error: unknown verb lst; did you mean list? (see radgpt recipes --help)"},
      {"CL04", {}, "subcommand"},
      {"", {"plan"}, "RECIPE"},
      {"", {"merge", "--model", "m", "--out", "/nowhere/x"}, "--adapter: must be given, unless"},
      {"",
       {"merge", "--model", "m", "--out", "/nowhere/x", "--llama", "--gguf"},
       "--llama excludes --gguf"},
      {"",
       {"merge", "--model", "m", "--out", "/nowhere/x", "--gguf", "--type", "q9"},
       "--type: q9 not in {bf16,fp16,fp32,q8_0}"},
      {"",
       {"merge", "--model", "m", "--out", "/nowhere/x", "--llama", "--type", "q8_0"},
       "--type: must be bf16, fp16 or fp32 without --gguf, got q8_0"},
      {"",
       {"merge", "--model", "m", "--out", "/nowhere/x", "--llama", "--max-shard-size", "0"},
       "--max-shard-size"},
      {"", {"recipes", "check"}, "FILE"},
      {"CL01", {"launch", "-n", "2", "recipes/quickstart.yaml", "--fast"}, "--fast"},
      {"CL02", {"launch", "-n"}, "--ranks"},
      {"CL03", {"launch", "-n", "0", "recipes/quickstart.yaml"}, "--ranks"},
      {"CL03", {"launch", "-n", "1025", "recipes/quickstart.yaml"}, "--ranks"},
      {"CL03", {"launch", "-n", "two", "recipes/quickstart.yaml"}, "--ranks"},
      {"", {"launch", "recipes/quickstart.yaml"}, "--ranks is required"},
      {"", {"launch", "-n", "2"}, "RECIPE is required"},
      {"", {"recipes", "show", "no_such"}, "must be one of"},
  };
  for (const Case& row : table) {
    INFO(row.id);
    check_refusal(row.arguments, 2, row.message);
  }
}

TEST_CASE("Command line: every verb has a help") {
  for (const char* verb : {"train", "launch", "evaluate", "generate", "simulate", "prepare",
                           "tokens", "merge", "recipes", "plan"}) {
    INFO(verb);
    const ProcessResult result = run_radgpt({verb, "--help"});
    CHECK(result.exit_code == 0);
    CHECK(result.errors.empty());
    CHECK(result.output.find("Usage: radgpt " + std::string(verb)) != std::string::npos);
  }
}

TEST_CASE("Command line: the help of train lists the fields of a recipe") {
  const std::string help = run_radgpt({"train", "--help"}).output;
  CHECK(help.find("lora.rank = 8  (a whole number in [1, 64])") != std::string::npos);
  CHECK(help.find("output.folder = required") != std::string::npos);
}

TEST_CASE("Command line: a fault of a recipe is one line with its place, for every verb") {
  const RecipeFile file(
      "lora: {rank: 0}\nmodel: {path: b}\ndata: {sources: [{train: [a]}]}\n"
      "output: {folder: r}\n");
  for (const char* verb : {"train", "evaluate", "prepare", "tokens", "plan"}) {
    INFO(verb);
    check_refusal({verb, file.path()}, 3,
                  file.path() + ":1:14: lora.rank: must be a whole number in [1, 64], got \"0\"");
  }
}

TEST_CASE("Command line: several faults are a line each after the first") {
  const ProcessResult result =
      run_radgpt({"train", "recipes/quickstart.yaml", "lora.rnak=8", "lora.rank=0"});
  CHECK(result.exit_code == 3);
  CHECK(result.errors ==
        "error: recipes/quickstart.yaml: 2 fault(s)\n"
        "  argument \"lora.rank=0\": lora.rank: must be a whole number in [1, 64], got \"0\"\n"
        "  argument \"lora.rnak=8\": unknown field lora.rnak; did you mean rank?\n");
}

TEST_CASE("Command line: launch says a fault of a recipe once, whatever the number of ranks") {
  const RecipeFile file(
      "lora: {rank: 0}\nmodel: {path: b}\ndata: {sources: [{train: [a]}]}\n"
      "output: {folder: r}\n");
  check_refusal({"launch", "-n", "8", file.path()}, 3, "lora.rank: must be a whole number");
  const RecipeFile lost(
      "model: {path: /no/such/model}\ndata: {sources: [{reports: [/no/such]}]}\n"
      "output: {folder: /nowhere/r}\n");
  const ProcessResult result = run_radgpt({"launch", "-n", "8", lost.path()});
  CHECK(result.exit_code == 3);
  CHECK(result.errors.find("error: ") == result.errors.rfind("error: "));
}

/// A variable of the environment that processes started from here see.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~Variable() { unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

TEST_CASE("Command line: ranks that cannot be are one line and exit code 3") {
  const Variable rank("RANK", "2");
  check_refusal({"train", "recipes/quickstart.yaml"}, 3,
                "error: environment: WORLD_SIZE: must be set beside RANK, got nothing\n");
  const Variable size("WORLD_SIZE", "2");
  check_refusal({"train", "recipes/quickstart.yaml"}, 3,
                "error: environment: RANK: must be a whole number in [0, 1], got \"2\"\n");
}

TEST_CASE("Command line: launch below a launcher is a mistake") {
  const Variable rank("RANK", "1");
  const Variable size("WORLD_SIZE", "2");
  const Variable address("MASTER_ADDR", "127.0.0.1");
  const Variable port("MASTER_PORT", "x");
  check_refusal({"launch", "-n", "2", "recipes/quickstart.yaml"}, 3, "MASTER_PORT");
  const Variable good_port("MASTER_PORT", "20000");
  check_refusal({"launch", "-n", "2", "recipes/quickstart.yaml"}, 2,
                "launch: starts the ranks of one machine itself, but is rank 1 of 2 already; let "
                "that launcher start `radgpt train`");
}

TEST_CASE("Command line: a recipe that is no recipe, or not there") {
  check_refusal({"plan", "no/such.yaml"}, 3, "no/such.yaml: no such file");
  check_refusal({"plan", "recipes"}, 3, "recipes: must be a file, got a folder");
  const RecipeFile file("胸部CT平扫：双肺纹理增多。\n");
  check_refusal({"plan", file.path()}, 3, "must be a map of fields, got text");
  CHECK(run_radgpt({"plan", file.path()}).errors.find("双肺") == std::string::npos);
}

TEST_CASE("Command line: a head that is not there is a fault before anything is read") {
  const RecipeFile file(
      "model: {path: b}\ndata: {sources: [{train: [a]}]}\noutput: {folder: r}\n"
      "train: {head: causal_ml}\n");
  const std::string message =
      file.path() + ": train.head: must be one of causal_lm, classifier, got \"causal_ml\"";
  check_refusal({"train", file.path()}, 3, message);
  check_refusal({"recipes", "check", file.path()}, 3, message);
}

TEST_CASE("Command line: output that is lost is no success") {
  const RecipeFile file("");
  const std::string errors = file.path() + ".errors";
  const std::string command = concat(RADGPT_EXECUTABLE, " recipes list > /dev/full 2> ", errors);
  const int status = std::system(command.c_str());
  CHECK(WEXITSTATUS(status) == 4);
  CHECK(read_file(errors, 1000) == "error: standard output: cannot be written\n");
}

TEST_CASE("Command line: text in the place of a name is not repeated") {
  const std::string report = "双肺清晰，\n未见结节。";
  check_refusal({"generate", "--model", "m", "--task", "summary", "--input", report, "x"}, 2, "x");
  check_refusal({"plan", report}, 3, "error: argument 2 of 31 bytes: no such file");
  check_refusal({"generate", "--model=" + report, "--task=summary"}, 3, "--model of 31 bytes");
  check_refusal({"merge", "--model", report, "--adapter", "a", "--out", "/nowhere/x"}, 3,
                "--model of 31 bytes");
  check_refusal({report}, 2, "unknown verb argument 1 of 31 bytes");
  check_refusal({"simulate", "--out", "/nowhere/x", report}, 2, "argument 4 of 31 bytes");
  check_refusal({"plan", std::string(300, 'x')}, 3, "a file name of 300 bytes is too long");
}

TEST_CASE("Command line: recipes lists, shows and checks what is shipped") {
  const ProcessResult list = run_radgpt({"recipes", "list"});
  CHECK(list.exit_code == 0);
  CHECK(list.output.find("recipes/quickstart.yaml\n    The four RadGPT tasks") !=
        std::string::npos);
  const ProcessResult show = run_radgpt({"recipes", "show", "quickstart"});
  CHECK(show.exit_code == 0);
  CHECK(show.output.starts_with("# The four RadGPT tasks"));
  const ProcessResult check = run_radgpt({"recipes", "check", "recipes/radgpt_7b.yaml"});
  CHECK(check.exit_code == 0);
  CHECK(check.output.starts_with("recipes/radgpt_7b.yaml: valid"));
}

TEST_CASE("Command line: check goes on to the last file and says the faults of all") {
  const RecipeFile bad("lora: {rank: 0}\n");
  const ProcessResult result =
      run_radgpt({"recipes", "check", bad.path(), "no/such.yaml", "recipes/quickstart.yaml"});
  CHECK(result.exit_code == 3);
  CHECK(result.output.starts_with("recipes/quickstart.yaml: valid"));
  CHECK(result.errors.find("error: " + bad.path() + ": ") == 0);
  CHECK(result.errors.find("\nno/such.yaml: no such file\n") != std::string::npos);
}

}  // namespace
}  // namespace radgpt
