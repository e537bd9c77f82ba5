#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "libradgpt/config/recipe_file.h"
#include "tests/catch.h"

namespace radgpt {
namespace {

namespace fs = std::filesystem;

constexpr size_t kShippedRecipes = 6;

const fs::path kFolder = fs::path(RADGPT_SOURCE_DIR) / "recipes";

std::string text_of(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Every YAML file below recipes/, by its name.
std::map<std::string, fs::path> shipped_recipes() {
  std::map<std::string, fs::path> recipes;
  for (const auto& entry : fs::recursive_directory_iterator(kFolder)) {
    const fs::path extension = entry.path().extension();
    if (extension == ".yaml" || extension == ".yml") {
      recipes[entry.path().filename().string()] = entry.path();
    }
  }
  return recipes;
}

Recipe shipped(const std::string& name) { return read_recipe((kFolder / name).string()); }

TEST_CASE("Recipes: every file in the folder is valid, and there are six") {
  const auto recipes = shipped_recipes();
  CHECK(recipes.size() == kShippedRecipes);
  for (const auto& [name, path] : recipes) {
    INFO(name);
    CHECK_NOTHROW(read_recipe(path.string()));
  }
}

TEST_CASE("Recipes: each, written out, is read as the same recipe") {
  for (const auto& [name, path] : shipped_recipes()) {
    INFO(name);
    const std::string written = write_recipe(read_recipe(path.string()));
    CHECK(write_recipe(parse_recipe(written, name)) == written);
  }
}

TEST_CASE("Recipes: each opens with what it is for, needs, takes and how it is launched") {
  for (const auto& [name, path] : shipped_recipes()) {
    INFO(name);
    const std::string text = text_of(path);
    const std::string opening = text.substr(0, text.find("\n\n"));
    for (const char* part : {"# For ", "# Needs ", "# Takes ", "# Launch ", "# Trade-offs"}) {
      INFO(part);
      CHECK(opening.find(std::string("\n") + part) != std::string::npos);
    }
    CHECK(opening.find("radgpt train ") != std::string::npos);
    CHECK(opening.find("recipes/" + name) != std::string::npos);
  }
}

TEST_CASE("Recipes: the README lists each with its first line, and every field as it is") {
  const std::string readme = text_of(kFolder / "README.md");
  for (const auto& [name, path] : shipped_recipes()) {
    INFO(name);
    const std::string text = text_of(path);
    const std::string purpose = text.substr(2, text.find('\n') - 2);
    CHECK(readme.find("| [" + name + "](" + name + ") | " + purpose + " |\n") != std::string::npos);
  }
  const size_t table = readme.find("\n### model");
  REQUIRE(table != std::string::npos);
  INFO("after a change of a field: replace all from \"### model\" on by `radgpt recipes table`");
  CHECK(readme.substr(table) == recipe_table());
}

/// Whether two recipes hold out the same reports, so that one's base may be the other's.
void check_same_split(const Recipe& base, const Recipe& tuned) {
  REQUIRE(base.data.sources.size() == tuned.data.sources.size());
  for (size_t i = 0; i < base.data.sources.size(); ++i) {
    CHECK(base.data.sources[i].train == tuned.data.sources[i].train);
    CHECK(base.data.sources[i].validation == tuned.data.sources[i].validation);
    CHECK(base.data.sources[i].test == tuned.data.sources[i].test);
    CHECK(base.data.sources[i].reports == tuned.data.sources[i].reports);
  }
  CHECK(base.data.group_by == tuned.data.group_by);
  CHECK(base.data.salt == tuned.data.salt);
  CHECK(base.data.validation_fraction == tuned.data.validation_fraction);
  CHECK(base.data.test_fraction == tuned.data.test_fraction);
}

TEST_CASE("Recipes: a base never reads the reports that its adapter is scored on") {
  const std::vector<std::pair<std::string, std::string>> pairs = {
      {"quickstart_base.yaml", "quickstart.yaml"}, {"tumour_base.yaml", "tumour_reports.yaml"}};
  for (const auto& [base_name, tuned_name] : pairs) {
    INFO(tuned_name);
    const Recipe base = shipped(base_name);
    const Recipe tuned = shipped(tuned_name);
    check_same_split(base, tuned);
    CHECK(tuned.model.path == base.output.folder + "/model");
    CHECK(tuned.model.max_length == base.model.max_length);
  }
}

TEST_CASE("Recipes: the real ones score both sizes of Baichuan2 on the same patients") {
  const Recipe small = shipped("radgpt_7b.yaml");
  const Recipe large = shipped("radgpt_13b.yaml");
  check_same_split(small, large);
  CHECK(small.data.group_by == GroupChoice::kPatient);
  REQUIRE(small.tasks.size() == large.tasks.size());
  for (size_t i = 0; i < small.tasks.size(); ++i) {
    CHECK(small.tasks[i].question == large.tasks[i].question);
  }
}

}  // namespace
}  // namespace radgpt
