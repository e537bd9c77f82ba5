#include "libradgpt/record/run_facts.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>

#include "libradgpt/base/error.h"
#include "libradgpt/base/folder_name.h"
#include "libradgpt/formats/json.h"
#include "libradgpt/formats/jsonl.h"
#include "libradgpt/formats/yaml.h"

namespace radgpt {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kLargestManifest = 1 << 20;
constexpr uint64_t kLargestScores = 64 << 20;
constexpr int64_t kAnyCount = std::numeric_limits<int64_t>::max();
constexpr double kAnyNumber = std::numeric_limits<double>::max();

/// Fields of a recipe that are numbers or choices, by group.
struct SettingGroup {
  std::string_view name;
  std::vector<std::string_view> fields;
};
const std::array<SettingGroup, 4> kSettings = {{
    {"model", {"max_length", "dtype"}},
    {"lora", {"rank", "alpha", "dropout", "targets", "rslora", "dora", "init"}},
    {"optim",
     {"learning_rate", "schedule", "warmup_fraction", "weight_decay", "beta1", "beta2", "clip_norm",
      "loraplus_ratio"}},
    {"train",
     {"parameters", "head", "epochs", "steps", "pack_tokens", "packs_per_step", "sharing", "seed",
      "neftune_alpha"}},
}};

std::map<std::string, std::string> texts_of(const JsonObject& object, const nlohmann::json& json) {
  std::map<std::string, std::string> texts;
  for (const auto& [key, value] : json.items()) texts[key] = object.text(key);
  return texts;
}

void read_manifest(const std::string& path, RunFacts& facts) {
  const nlohmann::json json = read_json_file(path, kLargestManifest);
  const JsonObject manifest(json, path);
  for (const char* name : {"radgpt", "libtorch"}) facts.software[name] = manifest.text(name);
  facts.written = manifest.text("written");
  facts.type = manifest.text("type");
  facts.identity = texts_of(manifest.object("identity"), json.at("identity"));
  facts.result = texts_of(manifest.object("result"), json.at("result"));
  const JsonObject counts = manifest.object("counts");
  for (const auto& [key, value] : json.at("counts").items()) {
    facts.counts[key] = counts.integer(key, 0, kAnyCount);
  }
  for (const auto& [path_of_data, digest] :
       texts_of(manifest.object("inputs"), json.at("inputs"))) {
    facts.data_digests.push_back(digest);
  }
  std::sort(facts.data_digests.begin(), facts.data_digests.end());
}

std::string text_of(const YamlNode& node) {
  std::string text = node.value;
  for (const YamlNode& item : node.items) text += (text.empty() ? "" : ", ") + item.value;
  return text;
}

std::string find_text(const YamlNode* map, std::string_view key) {
  const YamlNode* node = map == nullptr ? nullptr : map->find(key);
  return node == nullptr ? "" : text_of(*node);
}

void read_settings(const YamlNode& recipe, RunFacts& facts) {
  for (const SettingGroup& group : kSettings) {
    if (group.name == "lora" && !facts.is_adapter) continue;
    for (const std::string_view field : group.fields) {
      const std::string value = find_text(recipe.find(group.name), field);
      if (value.empty()) continue;
      facts.settings.emplace_back(std::string(group.name) + "." + std::string(field), value);
    }
  }
}

void read_recipe_file(const std::string& path, RunFacts& facts) {
  const YamlNode recipe = read_yaml(path);
  facts.base = folder_name(find_text(recipe.find("model"), "path"));
  facts.is_adapter = find_text(recipe.find("train"), "parameters") != "full";
  if (const YamlNode* tasks = recipe.find("tasks")) {
    for (const YamlNode& task : tasks->items) {
      facts.tasks.emplace_back(find_text(&task, "name"), find_text(&task, "kind"));
    }
  }
  read_settings(recipe, facts);
}

void read_record(const std::string& path, RunFacts& facts) {
  std::error_code ignored;
  if (!fs::exists(path, ignored) || fs::is_empty(path, ignored)) return;
  JsonlReader lines(path);
  for (JsonLine line; lines.next(line);) {
    const JsonObject entry(line.value, path + ":" + std::to_string(line.number));
    const std::string& kind = entry.text("kind");
    if (kind == "note" || !entry.has("loss") || !line.value.at("loss").is_number()) continue;
    const double loss = entry.number("loss", -kAnyNumber, kAnyNumber);
    if (kind == "step") {
      facts.last_loss = loss;
    } else if (kind == "evaluation") {
      facts.validation_loss = std::min(loss, facts.validation_loss.value_or(loss));
    }
  }
}

/// The headline score of each task over all reports; those of a centre or a modality stay here.
void read_scores(const std::string& path, RunFacts& facts) {
  const nlohmann::json groups = read_json_file(path, kLargestScores);
  require(groups.is_array(), path, ": must be a JSON array");
  for (const nlohmann::json& group : groups) {
    const JsonObject object(group, path);
    if (!group.value("centre", nlohmann::json()).is_null()) continue;
    if (!group.value("modality", nlohmann::json()).is_null()) continue;
    ScoreFact fact{
        object.text("task"), object.text("headline"), object.integer("items", 0, kAnyCount), {}};
    if (!object.has("systems")) continue;
    for (const nlohmann::json& one : object.array("systems")) {
      const JsonObject scores(one, path);
      const JsonObject values = scores.object("values");
      if (!values.has(fact.metric)) continue;
      const bool has_interval = one.at("values").at(fact.metric).is_object();
      fact.values[scores.text("system")] =
          has_interval ? values.object(fact.metric).number("value", -kAnyNumber, kAnyNumber)
                       : values.number(fact.metric, -kAnyNumber, kAnyNumber);
    }
    facts.scores.push_back(std::move(fact));
  }
}

}  // namespace

bool is_run_folder(const std::string& folder) {
  std::error_code ignored;
  return fs::exists(fs::path(folder) / "recipe.yaml", ignored) &&
         fs::exists(fs::path(folder) / "manifest.json", ignored);
}

RunFacts read_run_facts(const std::string& folder) {
  RunFacts facts;
  read_manifest(folder + "/manifest.json", facts);
  read_recipe_file(folder + "/recipe.yaml", facts);
  read_record(folder + "/run.jsonl", facts);
  std::error_code ignored;
  if (fs::exists(folder + "/scores.json", ignored)) read_scores(folder + "/scores.json", facts);
  return facts;
}

}  // namespace radgpt
