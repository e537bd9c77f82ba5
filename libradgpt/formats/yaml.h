#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace radgpt {

/// A piece of YAML and where it stands. Scalars stay text: what they mean is for the reader of the
/// field to decide.
struct YamlNode {
  enum class Kind { kNull, kScalar, kList, kMap };

  Kind kind = Kind::kNull;
  std::string value;            ///< of a scalar
  bool quoted = false;          ///< of a scalar: written in quotes or as a block
  std::vector<YamlNode> items;  ///< of a list
  std::vector<std::pair<YamlNode, YamlNode>> entries;  ///< of a map: key (a scalar), value

  std::string file;  ///< as given to parse_yaml
  int line = 0;      ///< from 1; 0 = the place is `file` alone
  int column = 0;    ///< from 1, in characters

  /// FILE:LINE:COL, for messages.
  std::string place() const;
  /// The value of `key` in a map; null if there is none.
  const YamlNode* find(std::string_view key) const;
};

inline constexpr uint64_t kYamlMaxBytes = 1 << 20;
inline constexpr int kYamlMaxDepth = 16;

/// Parses one YAML document of a plain kind: maps, lists and scalars. An empty document is null.
/// Throws Error(kInput), FILE:LINE:COL: rule, for anchors, aliases, merge keys, tags, directives,
/// repeated or non-scalar keys, several documents, tabs in indentation, control characters, text
/// that is not UTF-8, more than kYamlMaxDepth levels or kYamlMaxBytes. A byte order mark is passed
/// over. No message quotes the text.
YamlNode parse_yaml(std::string_view text, const std::string& file);

/// parse_yaml of a file. Errors also as read_file in libradgpt/base/files.h.
YamlNode read_yaml(const std::string& path);

}  // namespace radgpt
