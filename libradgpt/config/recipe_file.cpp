#include "libradgpt/config/recipe_file.h"

#include "libradgpt/base/error.h"
#include "libradgpt/base/files.h"
#include "libradgpt/config/faults.h"
#include "libradgpt/config/overrides.h"
#include "libradgpt/config/reader.h"
#include "libradgpt/config/rules.h"

namespace radgpt {

Recipe parse_recipe(const std::string& text, const std::string& file,
                    const std::vector<std::string>& overrides) {
  YamlNode root = parse_yaml(text, file);
  require(root.kind == YamlNode::Kind::kMap, root.line == 0 ? file : root.place(),
          ": must be a map of fields, got ",
          root.kind == YamlNode::Kind::kNull   ? "nothing"
          : root.kind == YamlNode::Kind::kList ? "a list"
                                               : "text");
  Faults faults;
  apply_overrides(overrides, root, faults);
  Recipe recipe;
  recipe.file = file;
  GivenFields given;
  YamlNode whole_file = root;
  whole_file.line = 0;
  FieldReader reader(whole_file, "", faults, given);
  recipe.describe(reader);
  reader.refuse_unknown_keys();
  check_rules(whole_file, given, recipe, faults);
  faults.raise(file);
  return recipe;
}

Recipe read_recipe(const std::string& path, const std::vector<std::string>& overrides) {
  return parse_recipe(read_file(path, kYamlMaxBytes), path, overrides);
}

}  // namespace radgpt
