#include "libradgpt/config/overrides.h"

#include <set>
#include <string_view>

#include "libradgpt/base/error.h"
#include "libradgpt/config/scalar.h"

namespace radgpt {
namespace {

using Kind = YamlNode::Kind;

/// Makes the argument the place of a tree.
void set_place(YamlNode& node, const std::string& place) {
  node.file = place;
  node.line = 0;
  node.column = 0;
  for (YamlNode& item : node.items) set_place(item, place);
  for (auto& [key, value] : node.entries) {
    set_place(key, place);
    set_place(value, place);
  }
}

YamlNode scalar(const std::string& value, const std::string& place) {
  YamlNode node;
  node.kind = Kind::kScalar;
  node.value = value;
  node.file = place;
  return node;
}

/// The entry `name` of a map or item of a list, made if a map lacks it; null if there is none.
YamlNode* child(YamlNode& parent, const std::string& name, const std::string& place) {
  if (parent.kind == Kind::kNull) parent.kind = Kind::kMap;
  if (parent.kind == Kind::kList) {
    const auto index = parse_integer(name);
    const bool exists = index && *index >= 0 && *index < static_cast<int64_t>(parent.items.size());
    return exists ? &parent.items[static_cast<size_t>(*index)] : nullptr;
  }
  if (parent.kind != Kind::kMap) return nullptr;
  for (auto& [key, value] : parent.entries) {
    if (key.value == name) return &value;
  }
  parent.entries.emplace_back(scalar(name, place), scalar("", place));
  YamlNode& added = parent.entries.back().second;
  added.kind = Kind::kNull;
  return &added;
}

/// The node at a dotted path; null if a part of it does not exist.
YamlNode* find_or_make(YamlNode& root, std::string_view path, const std::string& place) {
  YamlNode* node = &root;
  while (node != nullptr) {
    const size_t dot = path.find('.');
    node = child(*node, std::string(path.substr(0, dot)), place);
    if (dot == std::string_view::npos) break;
    path.remove_prefix(dot + 1);
  }
  return node;
}

}  // namespace

void apply_overrides(const std::vector<std::string>& arguments, YamlNode& root, Faults& faults) {
  std::set<std::string> seen;
  for (const std::string& argument : arguments) {
    const std::string place = concat("argument ", quoted_for_message(argument));
    const YamlNode whole = scalar("", place);
    const size_t equals = argument.find('=');
    const std::string path = argument.substr(0, equals);
    if (equals == std::string::npos || path.empty()) {
      faults.add(whole, "must be FIELD=VALUE");
      continue;
    }
    if (!seen.insert(path).second) {
      faults.add(whole, concat(key_for_message(path), ": given by two arguments"));
      continue;
    }
    const std::string text = argument.substr(equals + 1);
    YamlNode value = scalar("", place);
    try {
      if (!text.empty()) value = parse_yaml(text, place);
    } catch (const Error& error) {
      faults.add_message(error.what());
      continue;
    }
    set_place(value, place);
    YamlNode* node = find_or_make(root, path, place);
    if (node == nullptr) {
      faults.add(whole, concat(key_for_message(path),
                               ": must name a field, got an item or field "
                               "that the recipe does not list"));
    } else {
      *node = std::move(value);
    }
  }
}

}  // namespace radgpt
