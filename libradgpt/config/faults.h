#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "libradgpt/formats/yaml.h"

namespace radgpt {

/// What is wrong with a recipe, collected so that all of it is said at once.
class Faults {
 public:
  /// A fault of the text at `place`: PLACE: rule.
  void add(const YamlNode& place, const std::string& rule);
  /// A fault of a field: PLACE: KEY: rule.
  void add(const YamlNode& place, const std::string& key, const std::string& rule);
  /// A fault already told with its place.
  void add_message(const std::string& message);

  /// Whether a field, a part of it or a group around it has a fault already. What follows from that
  /// fault need not be said.
  bool concern(const std::string& key) const;

  /// A line for each fault, in the order of the file.
  std::vector<std::string> lines() const;

  /// Throws Error(kInput) if there is a fault: one as a line of its own, several as a first line
  /// "FILE: N fault(s)" and one indented line each in the order of the file.
  void raise(const std::string& file) const;

 private:
  struct Fault {
    int line;
    int column;
    std::string text;
  };
  std::vector<Fault> faults_;
  std::set<std::string> keys_;
};

}  // namespace radgpt
