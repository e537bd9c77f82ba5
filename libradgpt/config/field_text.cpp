#include "libradgpt/config/field_text.h"

#include "libradgpt/base/error.h"
#include "libradgpt/config/recipe.h"
#include "libradgpt/config/recipe_file.h"
#include "libradgpt/config/scalar.h"

namespace radgpt {
namespace {

std::string joined(Names words) {
  std::string text;
  for (const std::string_view word : words) text += concat(text.empty() ? "" : ", ", word);
  return text;
}

struct AcceptedText {
  std::string operator()(const FlagField&) const { return "true or false"; }
  std::string operator()(const IntegerField& field) const {
    if (field.high == kAnyCount) return concat("a whole number, at least ", field.low);
    return concat("a whole number in [", field.low, ", ", field.high, "]");
  }
  std::string operator()(const NumberField& field) const {
    return concat("a number in ", field.range.low_excluded ? "(" : "[",
                  number_text(field.range.low), ", ", number_text(field.range.high),
                  field.range.high_excluded ? ")" : "]");
  }
  std::string operator()(const TextField& field) const {
    return field.kind == TextKind::kPath ? "a path" : "text";
  }
  std::string operator()(const ChoiceField& field) const {
    return concat("one of ", joined(field.names));
  }
  std::string operator()(const TextListField& field) const {
    if (!field.names.empty()) return concat("a list of ", joined(field.names));
    return field.kind == TextKind::kPath ? "a list of paths" : "a list of texts";
  }
  std::string operator()(const LabelsField&) const {
    return "a map of value: answer, or a list of answers";
  }
  std::string operator()(const GroupField&) const { return "a map of fields"; }
  std::string operator()(const GroupListField&) const { return "a list of maps"; }
};

std::string written(const std::string& text) { return text.empty() ? "\"\"" : text; }

struct DefaultText {
  std::string operator()(const FlagField& field) const { return *field.value ? "true" : "false"; }
  std::string operator()(const IntegerField& field) const { return std::to_string(*field.value); }
  std::string operator()(const NumberField& field) const { return number_text(*field.value); }
  std::string operator()(const TextField& field) const { return written(*field.value); }
  std::string operator()(const ChoiceField& field) const {
    return std::string(field.names[field.get()]);
  }
  std::string operator()(const TextListField& field) const {
    return concat("[",
                  joined(std::vector<std::string_view>(field.values->begin(), field.values->end())),
                  "]");
  }
  std::string operator()(const LabelsField&) const { return "[]"; }
  std::string operator()(const GroupField&) const { return ""; }
  std::string operator()(const GroupListField&) const { return ""; }
};

/// Collects a line for every field of a recipe that nobody has written.
class LineCollector : public FieldVisitor {
 public:
  LineCollector(std::string prefix, std::vector<FieldLine>& lines)
      : prefix_(std::move(prefix)), lines_(lines) {}

 protected:
  void see(const Field& field) override {
    const std::string path = prefix_ + field.name;
    const bool required = field.presence == Presence::kRequired;
    const auto* group = std::get_if<GroupField>(&field.value);
    const auto* items = std::get_if<GroupListField>(&field.value);
    const std::string default_value =
        required && items == nullptr ? "required" : std::visit(DefaultText(), field.value);
    const char* kind = items == nullptr ? "" : required ? " (a list, required)" : " (a list)";
    lines_.push_back({path, default_value, accepted_text(field.value), field.meaning + kind});
    if (group != nullptr) {
      LineCollector inner(path + ".", lines_);
      group->describe(inner);
    } else if (items != nullptr) {
      LineCollector inner(path + ".N.", lines_);
      items->describe_default(inner);
    }
  }

 private:
  std::string prefix_;
  std::vector<FieldLine>& lines_;
};

}  // namespace

std::string accepted_text(const FieldValue& value) { return std::visit(AcceptedText(), value); }

std::vector<FieldLine> recipe_field_lines() {
  std::vector<FieldLine> lines;
  Recipe recipe;
  LineCollector collector("", lines);
  recipe.describe(collector);
  return lines;
}

std::string recipe_help() {
  std::string text = "  NAME = DEFAULT  (what it accepts)\n      what it means\n";
  for (const FieldLine& line : recipe_field_lines()) {
    if (line.default_value.empty()) {
      text += concat("\n", line.path, ": ", line.meaning, "\n");
    } else {
      text += concat("  ", line.path, " = ", line.default_value, "  (", line.accepted, ")\n",
                     "      ", line.meaning, "\n");
    }
  }
  return text;
}

std::string recipe_table() {
  std::string text;
  for (const FieldLine& line : recipe_field_lines()) {
    if (line.default_value.empty()) {
      text += concat("\n### ", line.path, ": ", line.meaning, "\n\n",
                     "| field | default | accepts | meaning |\n|---|---|---|---|\n");
    } else {
      text += concat(
          "| `", line.path, "` | ",
          line.default_value == "required" ? line.default_value : "`" + line.default_value + "`",
          " | ", line.accepted, " | ", line.meaning, " |\n");
    }
  }
  return text;
}

}  // namespace radgpt
