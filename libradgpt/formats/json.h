#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace radgpt {

struct JsonLimits {
  int depth = 16;             ///< objects and arrays inside each other
  size_t values = 4'000'000;  ///< of any kind, all levels together; bounds the memory
};

/// Where a JSON text stands, for messages.
struct JsonOrigin {
  std::string file;
  int64_t first_line = 1;  ///< number of the text's first line in the file
};

/// Parses one JSON text (RFC 8259), more strictly than nlohmann::json does: valid UTF-8, no
/// byte-order mark, no NUL byte, no key twice in an object, no NaN or number beyond double, no
/// lone surrogate, nothing but white space after the value, and the limits above. Throws
/// Error(kInput) "FILE:LINE:COLUMN: rule, got …" (columns count characters) that never quotes a
/// value. Does not recurse.
nlohmann::json parse_json(std::string_view text, const JsonOrigin& origin, JsonLimits limits = {});

/// read_file and parse_json; a file above `size_limit` bytes is refused.
nlohmann::json read_json_file(const std::string& path, uint64_t size_limit, JsonLimits limits = {});

/// The keys of a JSON object, read with their rules. All errors are Error(kInput)
/// "WHERE: KEY: must be RULE, got …"; of values, only numbers out of a range are shown. Refers to
/// `value`, which must outlive it.
class JsonObject {
 public:
  /// `where` opens every message: a file, "FILE:LINE". Throws if `value` is not an object.
  JsonObject(const nlohmann::json& value, std::string where)
      : JsonObject(value, std::move(where), "") {}
  JsonObject(nlohmann::json&& value, std::string where) = delete;

  const std::string& where() const { return where_; }
  bool has(const std::string& key) const { return value_.contains(key); }

  /// The functions below throw if the key is missing; those that take a default return it then.

  /// A JSON integer in [low, high]: 4096.0, "4096" and true are refused.
  int64_t integer(const std::string& key, int64_t low, int64_t high) const;
  int64_t integer_or(const std::string& key, int64_t low, int64_t high, int64_t absent) const;
  /// A JSON number, integer or not, in [low, high].
  double number(const std::string& key, double low, double high) const;
  double number_or(const std::string& key, double low, double high, double absent) const;
  bool boolean(const std::string& key) const;
  bool boolean_or(const std::string& key, bool absent) const;
  /// A string, perhaps empty.
  const std::string& text(const std::string& key) const;
  std::string text_or(const std::string& key, const std::string& absent) const;
  std::vector<std::string> texts(const std::string& key) const;
  /// A JSON array.
  const nlohmann::json& array(const std::string& key) const;
  /// The object at `key`; its messages name "KEY.its key".
  JsonObject object(const std::string& key) const;

  /// Throws "WHERE: KEY: must be RULE, got …" for the value at `key`.
  [[noreturn]] void refuse(const std::string& key, const std::string& rule) const;

 private:
  // In the header, as the shared library exports nothing that takes nlohmann's types.
  JsonObject(const nlohmann::json& value, std::string where, std::string prefix)
      : value_(value), where_(std::move(where)), prefix_(std::move(prefix)) {
    require_object();
  }

  void require_object();
  const nlohmann::json& at(const std::string& key, const char* rule) const;

  const nlohmann::json& value_;
  std::string where_;
  std::string prefix_;
};

}  // namespace radgpt
