#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/base/temporary_folder.h"
#include "tests/recipes/process.h"

namespace radgpt {

// The main job at its smallest: 150 made-up reports, a base of two layers, an adapter of a few
// steps. What each test case starts from is made once, by the executable, and is then only read.

/// Steps of an adapter run.
inline constexpr int kSteps = 12;

/// The reports: `radgpt simulate` has written them.
const std::string& small_reports();

/// Folder of the base that `radgpt train` has made from these reports.
const std::string& small_base();

/// Writes a recipe that trains an adapter of small_base() on `reports`, and gives its path.
std::string write_adapter_recipe(const TemporaryFolder& folder, const std::string& reports);

/// `radgpt VERB` of such a recipe with `folder`/run as run folder.
std::vector<std::string> arguments_of(const std::string& verb, const TemporaryFolder& folder,
                                      const std::vector<std::string>& overrides = {});

/// The objects of a file of JSON lines.
std::vector<nlohmann::json> json_lines(const std::string& path);

/// What a run must give whatever happens to it: the loss of every step and the adapter.
struct RunTrace {
  std::vector<double> losses;
  std::string adapter;  ///< SHA-256 of its file
  bool operator==(const RunTrace&) const = default;
};

/// Of the run in `folder`/run. Requires its steps to be numbered 1, 2, … without a gap.
RunTrace trace_of(const TemporaryFolder& folder);

/// Of a run that nothing disturbed, with one thread.
const RunTrace& undisturbed_trace();

}  // namespace radgpt
