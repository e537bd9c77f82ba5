#include "libradgpt/config/field.h"
#include "libradgpt/config/recipe_file.h"
#include "libradgpt/config/scalar.h"

namespace radgpt {
namespace {

/// Text in double quotes, with YAML's escapes.
std::string quoted(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string result = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      result += {'\\', c};
    } else if (c == '\n') {
      result += "\\n";
    } else if (byte < 0x20 || byte == 0x7F) {
      result += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    } else {
      result += c;
    }
  }
  return result + "\"";
}

/// Writes every field as a line `name: value`, groups as indented blocks.
class RecipeWriter : public FieldVisitor {
 public:
  RecipeWriter(std::string indent, std::string& text) : indent_(std::move(indent)), text_(text) {}

  void write_value(const Field& field) {
    std::visit([this](const auto& value) { write(value); }, field.value);
  }

 protected:
  void see(const Field& field) override {
    text_ += indent_ + field.name + ":";
    write_value(field);
  }

 private:
  void line(std::string_view value) { (text_ += ' ').append(value) += '\n'; }

  void write(const FlagField& field) { line(*field.value ? "true" : "false"); }
  void write(const IntegerField& field) { line(std::to_string(*field.value)); }
  void write(const NumberField& field) { line(number_text(*field.value)); }
  void write(const TextField& field) { line(quoted(*field.value)); }
  void write(const ChoiceField& field) { line(field.names[field.get()]); }
  void write(const TextListField& field) {
    std::string list;
    for (const std::string& value : *field.values) {
      list += (list.empty() ? "" : ", ") + quoted(value);
    }
    line("[" + list + "]");
  }
  void write(const LabelsField& field) {
    if (field.values->empty()) return line("{}");
    text_ += '\n';
    for (const auto& [value, answer] : *field.values) {
      text_ += indent_ + "  " + quoted(value) + ": " + quoted(answer) + "\n";
    }
  }
  void write(const GroupField& field) {
    text_ += '\n';
    RecipeWriter inner(indent_ + "  ", text_);
    field.describe(inner);
  }
  void write(const GroupListField& field) {
    if (field.size() == 0) return line("[]");
    text_ += '\n';
    for (size_t i = 0; i < field.size(); ++i) {
      const std::string indent = indent_ + "    ";
      std::string item;
      RecipeWriter inner(indent, item);
      field.describe(i, inner);
      item[indent.size() - 2] = '-';  // the first line opens the item
      text_ += item;
    }
  }

  std::string indent_;
  std::string& text_;
};

/// Visits like RecipeWriter, into a map.
class FieldCollector : public FieldVisitor {
 public:
  FieldCollector(std::string prefix, RecipeFields& fields)
      : prefix_(std::move(prefix)), fields_(fields) {}

 protected:
  void see(const Field& field) override {
    const std::string path = prefix_ + field.name;
    if (const auto* group = std::get_if<GroupField>(&field.value)) {
      FieldCollector inner(path + ".", fields_);
      group->describe(inner);
    } else if (const auto* list = std::get_if<GroupListField>(&field.value)) {
      for (size_t i = 0; i < list->size(); ++i) {
        FieldCollector inner(path + "." + std::to_string(i) + ".", fields_);
        list->describe(i, inner);
      }
    } else {
      std::string text;
      RecipeWriter("", text).write_value(field);
      fields_[path] = text;
    }
  }

 private:
  std::string prefix_;
  RecipeFields& fields_;
};

RecipeFields all_fields(Recipe& recipe) {
  RecipeFields fields;
  FieldCollector collector("", fields);
  recipe.describe(collector);
  return fields;
}

}  // namespace

RecipeFields changed_fields(const Recipe& recipe) {
  Recipe given = recipe, defaults;
  defaults.data.sources.resize(given.data.sources.size());
  defaults.tasks.assign(given.tasks.size(), Task());
  const RecipeFields of_defaults = all_fields(defaults);
  RecipeFields changed = all_fields(given);
  std::erase_if(changed, [&](const auto& field) {
    const auto found = of_defaults.find(field.first);
    return found != of_defaults.end() && found->second == field.second;
  });
  return changed;
}

std::string write_recipe(const Recipe& recipe) {
  Recipe copy = recipe;
  std::string text;
  RecipeWriter writer("", text);
  copy.describe(writer);
  return text;
}

}  // namespace radgpt
