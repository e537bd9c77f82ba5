#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace radgpt {

class FieldVisitor;

/// A closed list of words; of an enum, the names of its values in their order.
using Names = std::span<const std::string_view>;
/// Values of a label in the data, each with the answer of the model for it.
using LabelList = std::vector<std::pair<std::string, std::string>>;

/// Whether a recipe must name a field.
enum class Presence { kOptional, kRequired };
/// Whether a text names a file or folder.
enum class TextKind { kPlain, kPath };

/// The numbers a field may hold. Infinities and NaN are never among them.
struct Range {
  double low = 0;
  double high = 0;
  bool low_excluded = false;
  bool high_excluded = false;

  /// [low, high)
  static Range half_open(double low, double high) { return {low, high, false, true}; }
  /// (0, high]
  static Range positive(double high) { return {0, high, true, false}; }
};

/// What a field holds, and where: true or false. Here and below the pointers lead into the
/// described struct and live as long.
struct FlagField {
  bool* value;
};
/// A whole number in [low, high].
struct IntegerField {
  int64_t* value;
  int64_t low;
  int64_t high;
};
/// A number in a range.
struct NumberField {
  double* value;
  Range range;
};
/// A text.
struct TextField {
  std::string* value;
  TextKind kind;
};
/// One word of a closed list: an enum.
struct ChoiceField {
  std::function<size_t()> get;
  std::function<void(size_t)> set;  ///< an index into `names`
  Names names;
};
/// A list of texts.
struct TextListField {
  std::vector<std::string>* values;
  TextKind kind;
  Names names;  ///< the words allowed; empty = any text
};
/// The labels of a classification.
struct LabelsField {
  LabelList* values;
};
/// A struct with fields of its own.
struct GroupField {
  std::function<void(FieldVisitor&)> describe;
};
/// A list of structs with fields of their own.
struct GroupListField {
  std::function<size_t()> size;
  std::function<void(size_t)> resize;
  std::function<void(size_t, FieldVisitor&)> describe;  ///< the item of that index
  std::function<void(FieldVisitor&)> describe_default;  ///< an item nobody has written
};

/// Any of these.
using FieldValue = std::variant<FlagField, IntegerField, NumberField, TextField, ChoiceField,
                                TextListField, LabelsField, GroupField, GroupListField>;

/// Everything there is to know about one field of a recipe.
struct Field {
  std::string name;
  std::string meaning;  ///< one line
  FieldValue value;
  Presence presence = Presence::kOptional;
};

/// Sees every field of a recipe once, in the order of its description. The reader, the writer,
/// the help text and the table in recipes/README.md are visitors. A struct describes itself by
/// `void describe(FieldVisitor& visit)`, calling `visit(name, field, meaning, …)` for each field.
class FieldVisitor {
 public:
  virtual ~FieldVisitor() = default;

  /// One field: its name in YAML, where it is kept, what it means, and what it may be.
  void operator()(const char* name, bool& field, const char* meaning);
  void operator()(const char* name, int64_t& field, const char* meaning, int64_t low, int64_t high);
  void operator()(const char* name, double& field, const char* meaning, double low, double high);
  void operator()(const char* name, double& field, const char* meaning, Range range);
  void operator()(const char* name, std::string& field, const char* meaning, TextKind kind,
                  Presence presence = Presence::kOptional);
  void operator()(const char* name, std::vector<std::string>& field, const char* meaning,
                  TextKind kind);
  void operator()(const char* name, std::vector<std::string>& field, const char* meaning,
                  Names words);
  void operator()(const char* name, LabelList& field, const char* meaning);

  /// An enum whose values are 0, 1, … in the order of `names`.
  template <typename Enum>
  requires std::is_enum_v<Enum>
  void operator()(const char* name, Enum& field, const char* meaning, Names names) {
    see({name, meaning,
         ChoiceField{[&field] { return static_cast<size_t>(field); },
                     [&field](size_t index) { field = static_cast<Enum>(index); }, names}});
  }

  /// A struct that describes itself.
  template <typename Group>
  void group(const char* name, Group& field, const char* meaning) {
    see({name, meaning,
         GroupField{[&field](FieldVisitor& visit) { describe_item(field, visit); }}});
  }

  /// A list of structs that describe themselves.
  template <typename Item>
  void list(const char* name, std::vector<Item>& field, const char* meaning, Presence presence) {
    GroupListField items;
    items.size = [&field] { return field.size(); };
    items.resize = [&field](size_t size) { field.resize(size); };
    items.describe = [&field](size_t i, FieldVisitor& visit) { describe_item(field[i], visit); };
    items.describe_default = [](FieldVisitor& visit) {
      Item item;
      describe_item(item, visit);
    };
    see({name, meaning, std::move(items), presence});
  }

 protected:
  /// Called for each field in turn.
  virtual void see(const Field& field) = 0;

 private:
  template <typename Item>
  static void describe_item(Item& item, FieldVisitor& visit) {
    if constexpr (requires { item.describe(visit); }) {
      item.describe(visit);
    } else {
      describe(item, visit);
    }
  }
};

}  // namespace radgpt
