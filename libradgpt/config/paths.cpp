#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "libradgpt/base/error.h"
#include "libradgpt/base/files.h"
#include "libradgpt/config/faults.h"
#include "libradgpt/config/recipe_file.h"

namespace radgpt {
namespace {

namespace fs = std::filesystem;

class PathCheck {
 public:
  explicit PathCheck(const std::string& file) { place_.file = file; }

  void file(const std::string& key, const std::string& path) {
    try {
      open_regular_file(path);
    } catch (const Error& error) {
      faults_.add(place_, key, concat("must be a file that can be read, got ", error.what()));
    }
  }

  void base_folder(const std::string& key, const std::string& path) {
    std::error_code ignored;
    if (!fs::exists(path, ignored)) {
      faults_.add(place_, key,
                  concat("must be a folder with a config.json, got ", path, ": no such folder"));
    } else if (!fs::is_directory(path, ignored)) {
      faults_.add(place_, key, concat("must be a folder with a config.json, got a file ", path));
    } else {
      file(key, (fs::path(path) / "config.json").string());
    }
  }

  /// The folder, or the nearest one above it that exists, must take new files.
  void output_folder(const std::string& key, const std::string& path) {
    std::error_code ignored;
    fs::path nearest = fs::absolute(path, ignored);
    while (!fs::exists(nearest, ignored) && nearest.has_parent_path() &&
           nearest != nearest.parent_path()) {
      nearest = nearest.parent_path();
    }
    if (!fs::is_directory(nearest, ignored)) {
      faults_.add(place_, key, concat("must be a folder, got a file ", nearest.string()));
    } else if (access(nearest.c_str(), W_OK | X_OK) != 0) {
      faults_.add(
          place_, key,
          concat("must be a folder that can be written, got no permission at ", nearest.string()));
    }
  }

  const Faults& faults() const { return faults_; }

 private:
  YamlNode place_;
  Faults faults_;
};

Faults find_faults(const Recipe& recipe) {
  PathCheck check(recipe.file);
  if (!recipe.model.path.empty()) check.base_folder("model.path", recipe.model.path);
  if (!recipe.model.tokenizer.empty()) check.file("model.tokenizer", recipe.model.tokenizer);
  for (size_t i = 0; i < recipe.data.sources.size(); ++i) {
    const SourceRecipe& source = recipe.data.sources[i];
    const auto check_list = [&](const char* name, const std::vector<std::string>& files) {
      for (size_t k = 0; k < files.size(); ++k) {
        check.file(concat("data.sources.", i, ".", name, ".", k), files[k]);
      }
    };
    check_list("train", source.train);
    check_list("validation", source.validation);
    check_list("test", source.test);
    check_list("reports", source.reports);
  }
  check.output_folder("output.folder", recipe.output.folder);
  return check.faults();
}

}  // namespace

std::vector<std::string> path_faults(const Recipe& recipe) { return find_faults(recipe).lines(); }

void check_paths(const Recipe& recipe) { find_faults(recipe).raise(recipe.file); }

}  // namespace radgpt
