#include "tests/layering/source_rules.h"

#include <algorithm>
#include <map>
#include <regex>
#include <set>
#include <sstream>

namespace radgpt {
namespace {

using Layers = std::map<std::string, std::set<std::string>>;

// Who may include whom, beside itself and base. config holds the tasks of data, and optim the
// parameters of ops; for the rest see CONTRIBUTING.md.
const Layers kDirect = {
    {"base", {}},
    {"formats", {}},
    {"kernels", {}},
    {"data", {"formats"}},
    {"config", {"data", "formats"}},
    {"eval/metrics", {"data", "formats"}},
    {"ops", {"kernels"}},
    {"model", {"ops", "formats", "distributed"}},
    {"lora", {"model", "ops", "formats"}},
    {"heads", {"model", "ops"}},
    {"optim", {"ops"}},
    {"distributed", {}},
    {"checkpoint", {"formats"}},
    {"record", {"formats"}},
    {"generate", {"model", "data"}},
    {"export", {"lora", "data", "record"}},
    {"eval", {"generate", "heads", "data", "eval/metrics"}},
    {"train",
     {"heads", "lora", "data", "optim", "distributed", "checkpoint", "eval", "record", "config"}},
};

const std::set<std::string> kWithoutLibTorch = {"base", "formats", "kernels",
                                                "data", "config",  "eval/metrics"};

// All of libradgpt that kernels may include: headers without a source, since kernels/ builds alone.
const std::set<std::string> kForKernels = {"libradgpt/base/error.h", "libradgpt/base/pack.h",
                                           "libradgpt/base/philox.h"};

void add_reachable(const std::string& layer, std::set<std::string>& reached) {
  if (!reached.insert(layer).second) return;
  for (const std::string& below : kDirect.at(layer)) add_reachable(below, reached);
}

// "libradgpt/eval/metrics/bleu.h" -> "eval/metrics"; empty if the path names no layer.
std::string layer_of(const std::string& path) {
  if (path.starts_with("kernels/")) return "kernels";
  const std::string root = "libradgpt/";
  const size_t end = path.rfind('/');
  if (!path.starts_with(root) || end < root.size()) return "";
  return path.substr(root.size(), end - root.size());
}

bool starts_with_any(const std::string& text, const std::vector<std::string>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const std::string& prefix) { return text.starts_with(prefix); });
}

std::string include_fault(const std::string& path, const std::string& included, bool quoted) {
  const std::string layer = layer_of(path);
  if (!kDirect.contains(layer)) return "a folder that the table of layers does not name";
  const bool libtorch = starts_with_any(included, {"torch/", "ATen/", "c10/"});
  if (libtorch && kWithoutLibTorch.contains(layer)) return layer + " may not include LibTorch";
  if (included == "torch/torch.h" && path.ends_with(".h")) {
    return "a header may not include the whole of LibTorch";
  }
  const bool ours = starts_with_any(included, {"libradgpt/", "kernels/"});
  if (quoted && !ours) return "a quoted include starts with libradgpt/ or kernels/";
  if (!ours) return "";
  if (layer == "kernels" && layer_of(included) == "base" && !kForKernels.contains(included)) {
    return "kernels may include error.h, pack.h and philox.h of base only";
  }
  std::set<std::string> allowed = {"base"};
  add_reachable(layer, allowed);
  if (allowed.contains(layer_of(included))) return "";
  return layer + " may not include " + layer_of(included);
}

// Calls fault_in(line) for each line and collects what it returns, if not empty.
template <typename FaultIn>
Faults faults_by_line(const std::string& path, const std::string& text, FaultIn fault_in) {
  Faults faults;
  std::istringstream lines(text);
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    const std::string fault = fault_in(line);
    if (!fault.empty()) {
      faults.push_back(path + ":" + std::to_string(number) + ": " + fault + ", got " + line);
    }
  }
  return faults;
}

}  // namespace

Faults include_faults(const std::string& path, const std::string& text) {
  static const std::regex include(R"(^\s*#\s*include\s*([<"])([^>"]+)[>"])");
  return faults_by_line(path, text, [&](const std::string& line) -> std::string {
    std::smatch match;
    if (!std::regex_search(line, match, include)) return "";
    return include_fault(path, match[2], match[1] == "\"");
  });
}

Faults banned_call_faults(const std::string& path, const std::string& text) {
  static const std::regex banned(
      R"(torch::load|jit::load|pickle_load|\b(system|popen|dlopen|posix_spawnp?|exec[lv]p?e?)\s*\()");
  static const std::regex forks(R"(\bv?fork\s*\()");
  // Ranks are the same program with the same input, never another one.
  const bool may_fork = path == "libradgpt/distributed/local_ranks.cpp";
  return faults_by_line(path, text, [&](const std::string& line) -> std::string {
    const std::string code = line.substr(0, line.find("//"));
    const bool found =
        std::regex_search(code, banned) || (!may_fork && std::regex_search(code, forks));
    return found ? "runs a program or loads code" : "";
  });
}

Faults length_faults(const std::string& path, const std::string& text, int limit) {
  const auto lines = std::count(text.begin(), text.end(), '\n');
  if (lines <= limit) return {};
  return {path + ": a file has at most " + std::to_string(limit) + " lines, got " +
          std::to_string(lines)};
}

}  // namespace radgpt
