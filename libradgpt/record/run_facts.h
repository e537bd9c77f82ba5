#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace radgpt {

/// A score over all held-out reports, by system (base, adapter, …).
struct ScoreFact {
  std::string task;
  std::string metric;
  int64_t items = 0;
  std::map<std::string, double> values;
};

/// What a run folder says about its run and may leave the house: names, numbers and digests. No
/// text of reports, no paths, no names of files or centres.
struct RunFacts {
  std::string base;  ///< last part of the recipe's model.path; empty for random initialisation
  bool is_adapter = true;                       ///< false: all weights were trained
  std::map<std::string, std::string> software;  ///< radgpt, libtorch → version
  std::string written;                          ///< UTC time of the manifest
  std::string type;                             ///< of weights and products: bf16, fp32
  std::vector<std::string> data_digests;        ///< SHA-256 of each data file
  std::map<std::string, std::string> identity;  ///< recipe, base, tokenizer, data → SHA-256
  std::map<std::string, int64_t> counts;        ///< reports, examples, steps, …
  std::map<std::string, std::string> result;    ///< how it ended; files → SHA-256
  std::vector<std::pair<std::string, std::string>> tasks;     ///< name, kind
  std::vector<std::pair<std::string, std::string>> settings;  ///< recipe field → value
  std::optional<double> last_loss;                            ///< of the last step with one
  std::optional<double> validation_loss;                      ///< the lowest
  std::vector<ScoreFact> scores;
};

/// A folder with a recipe.yaml and a manifest.json.
bool is_run_folder(const std::string& folder);

/// Reads manifest.json, recipe.yaml and, where they are there, run.jsonl and scores.json. Of the
/// recipe only fields that are numbers or names of choices are taken. Throws Error(kInput).
RunFacts read_run_facts(const std::string& folder);

}  // namespace radgpt
