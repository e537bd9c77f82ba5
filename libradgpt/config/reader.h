#pragma once

#include <map>
#include <string>
#include <vector>

#include "libradgpt/config/faults.h"
#include "libradgpt/config/field.h"
#include "libradgpt/formats/yaml.h"

namespace radgpt {

/// Fields that the file or an argument gives: path and value. The values live in the tree.
using GivenFields = std::map<std::string, const YamlNode*>;

/// Fills a described struct from a tree of YAML, one map at a time. Fields that are not given keep
/// their defaults; what is wrong goes to `faults`, and that field keeps its default too.
class FieldReader : public FieldVisitor {
 public:
  /// Reads `map`, whose fields have paths that begin with `prefix` ("lora.").
  FieldReader(const YamlNode& map, std::string prefix, Faults& faults, GivenFields& given);

  /// To be called after the description: reports the keys of the map that it did not name.
  void refuse_unknown_keys() const;

 protected:
  void see(const Field& field) override;

 private:
  void read(const YamlNode& node, const std::string& path, const FlagField& field);
  void read(const YamlNode& node, const std::string& path, const IntegerField& field);
  void read(const YamlNode& node, const std::string& path, const NumberField& field);
  void read(const YamlNode& node, const std::string& path, const TextField& field);
  void read(const YamlNode& node, const std::string& path, const ChoiceField& field);
  void read(const YamlNode& node, const std::string& path, const TextListField& field);
  void read(const YamlNode& node, const std::string& path, const LabelsField& field);
  void read(const YamlNode& node, const std::string& path, const GroupField& field);
  void read(const YamlNode& node, const std::string& path, const GroupListField& field);

  void refuse(const YamlNode& node, const std::string& path, const FieldValue& value);
  bool check_path(const YamlNode& node, const std::string& path);
  bool check_word(const YamlNode& node, const std::string& path, Names words);

  const YamlNode& map_;
  std::string prefix_;
  Faults& faults_;
  GivenFields& given_;
  std::vector<std::string> names_;  ///< described so far
};

}  // namespace radgpt
