#include "libradgpt/config/reader.h"

#include <algorithm>

#include "libradgpt/base/error.h"
#include "libradgpt/base/text.h"
#include "libradgpt/config/field_text.h"
#include "libradgpt/config/scalar.h"

namespace radgpt {
namespace {

using Kind = YamlNode::Kind;

/// What stands at `node`, for "got …".
std::string got_text(const YamlNode& node) {
  if (node.kind == Kind::kNull) return "nothing";
  if (node.kind == Kind::kList) return "a list";
  if (node.kind == Kind::kMap) return "a map";
  return (node.quoted ? "the text " : "") + quoted_for_message(node.value);
}

bool is_plain_scalar(const YamlNode& node) { return node.kind == Kind::kScalar && !node.quoted; }

bool contains(const Range& range, double value) {
  const bool above = range.low_excluded ? value > range.low : value >= range.low;
  const bool below = range.high_excluded ? value < range.high : value <= range.high;
  return above && below;
}

/// "; did you mean NAME?" for a misspelt name among `names`, or for the name of a field of another
/// group; empty if none is near.
std::string hint(std::string_view word, const std::vector<std::string_view>& names) {
  std::string meant = nearest_name(word, names);
  if (meant.empty()) {
    static const std::vector<FieldLine> lines = recipe_field_lines();
    for (const FieldLine& line : lines) {
      const size_t dot = line.path.rfind('.');
      if (dot != std::string::npos && line.path.substr(dot + 1) == word) meant = line.path;
    }
  }
  return meant.empty() ? "" : concat("; did you mean ", meant, "?");
}

}  // namespace

FieldReader::FieldReader(const YamlNode& map, std::string prefix, Faults& faults,
                         GivenFields& given)
    : map_(map), prefix_(std::move(prefix)), faults_(faults), given_(given) {}

void FieldReader::see(const Field& field) {
  names_.push_back(field.name);
  const std::string path = prefix_ + field.name;
  const YamlNode* node = map_.find(field.name);
  const auto* group = std::get_if<GroupField>(&field.value);
  if (node != nullptr) {
    given_[path] = node;
    std::visit([&](const auto& value) { read(*node, path, value); }, field.value);
  } else if (group != nullptr) {
    // A group that is not written may still lack required fields.
    YamlNode empty = map_;
    empty.kind = Kind::kMap;
    empty.entries.clear();
    read(empty, path, *group);
  } else if (field.presence == Presence::kRequired) {
    faults_.add(map_, path, "must be given, got nothing");
  }
}

void FieldReader::refuse_unknown_keys() const {
  const std::vector<std::string_view> names(names_.begin(), names_.end());
  for (const auto& [key, value] : map_.entries) {
    if (std::find(names.begin(), names.end(), key.value) != names.end()) continue;
    const std::string shown = key_for_message(key.value);
    const bool is_name = shown == key.value;
    faults_.add(key, concat("unknown field ", is_name ? prefix_ : "", shown,
                            is_name ? hint(key.value, names) : ""));
  }
}

void FieldReader::refuse(const YamlNode& node, const std::string& path, const FieldValue& value) {
  faults_.add(node, path, concat("must be ", accepted_text(value), ", got ", got_text(node)));
}

void FieldReader::read(const YamlNode& node, const std::string& path, const FlagField& field) {
  const auto value = is_plain_scalar(node) ? parse_flag(node.value) : std::nullopt;
  if (!value) return refuse(node, path, field);
  *field.value = *value;
}

void FieldReader::read(const YamlNode& node, const std::string& path, const IntegerField& field) {
  const auto value = is_plain_scalar(node) ? parse_integer(node.value) : std::nullopt;
  if (!value || *value < field.low || *value > field.high) return refuse(node, path, field);
  *field.value = *value;
}

void FieldReader::read(const YamlNode& node, const std::string& path, const NumberField& field) {
  const auto value = is_plain_scalar(node) ? parse_number(node.value) : std::nullopt;
  if (!value || !contains(field.range, *value)) return refuse(node, path, field);
  *field.value = *value;
}

void FieldReader::read(const YamlNode& node, const std::string& path, const TextField& field) {
  if (node.kind != Kind::kScalar) return refuse(node, path, field);
  if (field.kind == TextKind::kPath && !check_path(node, path)) return;
  *field.value = node.value;
}

void FieldReader::read(const YamlNode& node, const std::string& path, const ChoiceField& field) {
  if (node.kind != Kind::kScalar) return refuse(node, path, field);
  if (!check_word(node, path, field.names)) return;
  field.set(static_cast<size_t>(std::find(field.names.begin(), field.names.end(), node.value) -
                                field.names.begin()));
}

void FieldReader::read(const YamlNode& node, const std::string& path, const TextListField& field) {
  if (node.kind != Kind::kList) return refuse(node, path, field);
  field.values->clear();
  for (size_t i = 0; i < node.items.size(); ++i) {
    const YamlNode& item = node.items[i];
    const std::string item_path = concat(path, ".", i);
    if (item.kind != Kind::kScalar) {
      refuse(item, item_path, TextField{nullptr, field.kind});
    } else if (!field.names.empty() && !check_word(item, item_path, field.names)) {
      continue;
    } else if (field.kind == TextKind::kPath && item.value.empty()) {
      refuse(item, item_path, TextField{nullptr, field.kind});
    } else if (field.kind != TextKind::kPath || check_path(item, item_path)) {
      field.values->push_back(item.value);
    }
  }
}

void FieldReader::read(const YamlNode& node, const std::string& path, const LabelsField& field) {
  if (node.kind != Kind::kMap && node.kind != Kind::kList) return refuse(node, path, field);
  field.values->clear();
  std::vector<std::pair<std::string, const YamlNode*>> labels;
  for (const auto& [key, value] : node.entries) labels.emplace_back(key.value, &value);
  for (const YamlNode& item : node.items) labels.emplace_back(item.value, &item);
  for (const auto& [value, answer] : labels) {
    if (answer->kind != Kind::kScalar || answer->value.empty()) {
      faults_.add(*answer, path, concat("each answer must be text, got ", got_text(*answer)));
    } else {
      field.values->emplace_back(value, answer->value);
    }
  }
}

void FieldReader::read(const YamlNode& node, const std::string& path, const GroupField& field) {
  if (node.kind != Kind::kMap) return refuse(node, path, field);
  FieldReader reader(node, path + ".", faults_, given_);
  field.describe(reader);
  reader.refuse_unknown_keys();
}

void FieldReader::read(const YamlNode& node, const std::string& path, const GroupListField& field) {
  if (node.kind != Kind::kList) return refuse(node, path, field);
  field.resize(0);
  field.resize(node.items.size());
  for (size_t i = 0; i < node.items.size(); ++i) {
    const std::string item_path = concat(path, ".", i);
    given_[item_path] = &node.items[i];
    read(node.items[i], item_path,
         GroupField{[&](FieldVisitor& visit) { field.describe(i, visit); }});
  }
}

bool FieldReader::check_path(const YamlNode& node, const std::string& path) {
  std::string rule;
  if (node.value.find("://") != std::string::npos) {
    rule = "must be a local path, got a URL";
  } else if (node.value.find('$') != std::string::npos || node.value.starts_with("~")) {
    rule = concat("must be written out, as $NAME and ~ are not replaced, got ", got_text(node));
  }
  if (!rule.empty()) faults_.add(node, path, rule);
  return rule.empty();
}

bool FieldReader::check_word(const YamlNode& node, const std::string& path, Names words) {
  if (std::find(words.begin(), words.end(), node.value) != words.end()) return true;
  const std::string meant = nearest_name(node.value, words);
  faults_.add(node, path,
              concat("must be ", accepted_text(ChoiceField{{}, {}, words}), ", got ",
                     got_text(node), meant.empty() ? "" : concat("; did you mean ", meant, "?")));
  return false;
}

}  // namespace radgpt
