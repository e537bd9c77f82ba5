#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>

#include "libradgpt/base/error.h"
#include "libradgpt/base/files.h"
#include "libradgpt/base/shipped_files.h"
#include "libradgpt/config/recipe_file.h"
#include "recipes/radgpt/check_head.h"
#include "recipes/radgpt/verbs.h"

namespace radgpt {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kLongestRecipe = 1 << 20;

std::vector<fs::path> shipped_recipes() {
  std::vector<fs::path> recipes;
  const fs::path folder = fs::canonical(shipped_files() + "/recipes");
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".yaml") recipes.push_back(entry.path());
  }
  std::sort(recipes.begin(), recipes.end());
  return recipes;
}

/// The first line of a recipe's opening comment: what it is for.
std::string purpose(const fs::path& recipe) {
  const std::string text = read_file(recipe.string(), kLongestRecipe);
  const std::string line = text.substr(0, text.find('\n'));
  return line.starts_with("# ") ? line.substr(2) : "";
}

void list_recipes() {
  for (const fs::path& recipe : shipped_recipes()) {
    std::cout << recipe.string() << "\n    " << purpose(recipe) << "\n";
  }
}

void show_recipe(const std::string& name) {
  std::string names;
  for (const fs::path& recipe : shipped_recipes()) {
    if (recipe.stem() == name || recipe.filename() == name) {
      std::cout << read_file(recipe.string(), kLongestRecipe);
      return;
    }
    names += concat(names.empty() ? "" : ", ", recipe.stem().string());
  }
  fail(ErrorKind::kUsage, "recipes show: must be one of ", names, ", got ", name);
}

/// Checks every file to the end. A recipe is valid wherever its data and base are; what is not
/// there yet is only told.
void check_recipes(const std::vector<std::string>& files) {
  std::string faults;
  for (const std::string& file : files) {
    try {
      const Recipe recipe = read_recipe(file);
      check_head(recipe);
      const std::vector<std::string> missing = path_faults(recipe);
      std::cout << file << ": valid" << (missing.empty() ? "" : ", but cannot run yet:") << "\n";
      for (const std::string& line : missing) std::cout << "  " << line << "\n";
    } catch (const Error& error) {
      faults += concat(faults.empty() ? "" : "\n", error.what());
    }
  }
  if (!faults.empty()) throw Error(ErrorKind::kInput, faults);
}

}  // namespace

void add_recipes(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("recipes", "list, show and check recipes");
  verb->require_subcommand(1);
  verb->add_subcommand("list", "list the shipped recipes and what each is for")
      ->callback(list_recipes);

  CLI::App* show = verb->add_subcommand("show", "print a shipped recipe");
  auto name = std::make_shared<std::string>();
  show->add_option("NAME", *name, "as `radgpt recipes list` gives it, without .yaml")->required();
  show->callback([name] { show_recipe(*name); });

  CLI::App* check = verb->add_subcommand("check", "check recipes: every fault, with its place");
  auto files = std::make_shared<std::vector<std::string>>();
  check->add_option("FILE", *files, "recipes")->required();
  check->callback([files] { check_recipes(*files); });

  verb->add_subcommand("table", "print all fields as Markdown, as in recipes/README.md")
      ->callback([] { std::cout << recipe_table(); });
}

}  // namespace radgpt
