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

 protected:
  void see(const Field& field) override {
    text_ += indent_ + field.name + ":";
    std::visit([this](const auto& value) { write(value); }, field.value);
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

}  // namespace

std::string write_recipe(const Recipe& recipe) {
  Recipe copy = recipe;
  std::string text;
  RecipeWriter writer("", text);
  copy.describe(writer);
  return text;
}

}  // namespace radgpt
