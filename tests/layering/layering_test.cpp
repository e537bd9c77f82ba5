#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/catch.h"
#include "tests/layering/source_rules.h"

using namespace radgpt;

namespace {

constexpr int kMaxLines = 500;

struct Source {
  std::string path;  // relative to the repository
  std::string text;
};

std::vector<Source> sources_below(const std::vector<std::string>& folders) {
  const std::filesystem::path root = RADGPT_SOURCE_DIR;
  std::vector<Source> sources;
  for (const std::string& folder : folders) {
    if (!std::filesystem::exists(root / folder)) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension();
      if (extension != ".h" && extension != ".cpp" && extension != ".cu" && extension != ".cuh") {
        continue;
      }
      std::ifstream file(entry.path());
      sources.push_back({std::filesystem::relative(entry.path(), root),
                         {std::istreambuf_iterator<char>(file), {}}});
    }
  }
  return sources;
}

void append(Faults& faults, const Faults& more) {
  faults.insert(faults.end(), more.begin(), more.end());
}

std::string lines(const Faults& faults) {
  std::string text;
  for (const std::string& fault : faults) text += fault + "\n";
  return text;
}

}  // namespace

TEST_CASE("Layering: every include in libradgpt and kernels follows the table of layers") {
  const std::vector<Source> sources = sources_below({"libradgpt", "kernels"});
  Faults faults;
  for (const Source& source : sources) append(faults, include_faults(source.path, source.text));
  INFO(lines(faults));
  CHECK(faults.empty());
  CHECK(sources.size() > 1);
  WARN("looked at " << sources.size() << " files");
}

TEST_CASE("Layering: nothing in the library or the executable runs programs or loads code") {
  const std::vector<Source> sources = sources_below({"libradgpt", "kernels", "recipes"});
  Faults faults;
  for (const Source& source : sources) append(faults, banned_call_faults(source.path, source.text));
  INFO(lines(faults));
  CHECK(faults.empty());
  CHECK(sources.size() > 1);
}

TEST_CASE("Layering: no file is longer than 500 lines") {
  Faults faults;
  for (const Source& source :
       sources_below({"libradgpt", "kernels", "recipes", "examples", "benchmarks", "tests"})) {
    append(faults, length_faults(source.path, source.text, kMaxLines));
  }
  INFO(lines(faults));
  CHECK(faults.empty());
}

TEST_CASE("Layering: an include upwards or sideways is a fault") {
  CHECK(include_faults("libradgpt/data/task.h", "\n#include \"libradgpt/model/baichuan.h\"\n") ==
        Faults{"libradgpt/data/task.h:2: data may not include model, got "
               "#include \"libradgpt/model/baichuan.h\""});
  CHECK(include_faults("libradgpt/heads/head.cpp", "#include <libradgpt/data/task.h>").size() == 1);
  CHECK(
      include_faults("libradgpt/model/rope.cpp", "#include \"libradgpt/config/recipe.h\"").size() ==
      1);
  CHECK(
      include_faults("libradgpt/base/error.h", "#  include \"libradgpt/formats/json.h\"").size() ==
      1);
}

TEST_CASE("Layering: an include downwards, of base or of the own folder is none") {
  CHECK(include_faults("libradgpt/data/task.h", "#include \"libradgpt/formats/json.h\"").empty());
  CHECK(include_faults("libradgpt/data/task.h", "#include \"libradgpt/data/report.h\"").empty());
  CHECK(include_faults("libradgpt/record/page.cpp", "#include \"libradgpt/base/error.h\"").empty());
  CHECK(include_faults("libradgpt/train/run.cpp", "#include \"libradgpt/ops/linear.h\"").empty());
  CHECK(include_faults("libradgpt/data/task.cpp", "// #include \"libradgpt/model/m.h\"").empty());
}

TEST_CASE("Layering: LibTorch is a fault in the folders that do without it") {
  CHECK(include_faults("libradgpt/formats/json.cpp", "#include <torch/torch.h>").size() == 1);
  CHECK(include_faults("libradgpt/eval/metrics/bleu.cpp", "#include <c10/util/Half.h>").size() ==
        1);
  CHECK(include_faults("kernels/rms_norm/rms_norm.h", "#include <ATen/Tensor.h>").size() == 1);
  CHECK(include_faults("libradgpt/ops/linear.cpp", "#include <torch/torch.h>").empty());
}

TEST_CASE("Layering: kernels include three headers of base and nothing else of the library") {
  CHECK(include_faults("kernels/swiglu/swiglu.cu", "#include \"libradgpt/base/error.h\"").empty());
  CHECK(include_faults("kernels/swiglu/swiglu.cuh", "#include <simt/device.h>").empty());
  CHECK(include_faults("kernels/swiglu/swiglu.cuh", "#include \"libradgpt/base/random.h\"") ==
        Faults{
            "kernels/swiglu/swiglu.cuh:1: kernels may include error.h, pack.h and philox.h of base "
            "only, got #include \"libradgpt/base/random.h\""});
  CHECK(
      include_faults("kernels/swiglu/swiglu.cu", "#include \"libradgpt/ops/lora_pair.h\"").size() ==
      1);
}

TEST_CASE("Layering: the whole of LibTorch in a header is a fault") {
  CHECK(include_faults("libradgpt/ops/linear.h", "#include <torch/torch.h>").size() == 1);
  CHECK(include_faults("libradgpt/ops/linear.h", "#include <ATen/core/Tensor.h>").empty());
}

TEST_CASE("Layering: an include that hides its folder is a fault") {
  CHECK(include_faults("libradgpt/data/task.cpp", "#include \"../model/baichuan.h\"").size() == 1);
  CHECK(include_faults("libradgpt/new/thing.h", "#include <vector>").size() == 1);
}

TEST_CASE("Layering: calls that run programs or load code are faults") {
  for (const char* call : {"system(text);", "::popen (text, mode);", "execvp(file, arguments);",
                           "dlopen(path, 0);", "torch::load(model, path);",
                           "auto module = torch::jit::load(path);", "torch::pickle_load(bytes);"}) {
    INFO(call);
    CHECK(banned_call_faults("libradgpt/data/task.cpp", call).size() == 1);
  }
  CHECK(banned_call_faults("libradgpt/data/task.cpp", "load(path);  // not torch::load").empty());
  CHECK(banned_call_faults("libradgpt/data/task.cpp", "file_system(path);").empty());
  CHECK(banned_call_faults("libradgpt/distributed/local_ranks.cpp", "fork();").empty());
  CHECK(banned_call_faults("libradgpt/distributed/local_ranks.cpp", "execv(path, a);").size() == 1);
}

TEST_CASE("Layering: a file of one line too many is a fault") {
  CHECK(length_faults("libradgpt/data/task.cpp", "1\n2\n3\n", 2) ==
        Faults{"libradgpt/data/task.cpp: a file has at most 2 lines, got 3"});
  CHECK(length_faults("libradgpt/data/task.cpp", "1\n2\n", 2).empty());
}
