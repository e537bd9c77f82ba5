#include <cmath>

#include "libradgpt/base/error.h"
#include "libradgpt/formats/json.h"
#include "libradgpt/formats/json_description.h"

namespace radgpt {
namespace {

using nlohmann::json;

/// As describe_json, but numbers are shown: they are sizes and settings where a range is asked.
std::string show_number(const json& value) {
  return value.is_number() ? value.dump() : describe_json(value);
}

bool is_integer_within(const json& value, int64_t low, int64_t high) {
  if (!value.is_number_integer()) return false;
  if (value.is_number_unsigned() && value.get<uint64_t>() > uint64_t{INT64_MAX}) return false;
  const auto number = value.get<int64_t>();
  return number >= low && number <= high;
}

}  // namespace

void JsonObject::require_object() {
  const std::string place = prefix_.empty() ? where_ : where_ + ": " + prefix_;
  require(value_.is_object(), place, ": must be a JSON object, got ", describe_json(value_));
  if (!prefix_.empty()) prefix_ += '.';
}

const json& JsonObject::at(const std::string& key, const char* rule) const {
  const auto member = value_.find(key);
  require(member != value_.end(), where_, ": ", prefix_, key, ": must be ", rule,
          ", but is missing");
  return *member;
}

void JsonObject::refuse(const std::string& key, const std::string& rule) const {
  const auto member = value_.find(key);
  const std::string came =
      member == value_.end() ? "but is missing" : "got " + describe_json(*member);
  fail(ErrorKind::kInput, where_, ": ", prefix_, key, ": must be ", rule, ", ", came);
}

int64_t JsonObject::integer(const std::string& key, int64_t low, int64_t high) const {
  const json& value = at(key, "an integer");
  require(is_integer_within(value, low, high), where_, ": ", prefix_, key,
          ": must be an integer in [", low, ", ", high, "], got ", show_number(value));
  return value.get<int64_t>();
}

int64_t JsonObject::integer_or(const std::string& key, int64_t low, int64_t high,
                               int64_t absent) const {
  return has(key) ? integer(key, low, high) : absent;
}

double JsonObject::number(const std::string& key, double low, double high) const {
  const json& value = at(key, "a number");
  const double number = value.is_number() ? value.get<double>() : std::nan("");
  require(number >= low && number <= high, where_, ": ", prefix_, key, ": must be a number in [",
          low, ", ", high, "], got ", show_number(value));
  return number;
}

double JsonObject::number_or(const std::string& key, double low, double high, double absent) const {
  return has(key) ? number(key, low, high) : absent;
}

bool JsonObject::boolean(const std::string& key) const {
  const json& value = at(key, "true or false");
  if (!value.is_boolean()) refuse(key, "true or false");
  return value.get<bool>();
}

bool JsonObject::boolean_or(const std::string& key, bool absent) const {
  return has(key) ? boolean(key) : absent;
}

const std::string& JsonObject::text(const std::string& key) const {
  const json& value = at(key, "a string");
  if (!value.is_string()) refuse(key, "a string");
  return value.get_ref<const std::string&>();
}

std::string JsonObject::text_or(const std::string& key, const std::string& absent) const {
  return has(key) ? text(key) : absent;
}

std::vector<std::string> JsonObject::texts(const std::string& key) const {
  std::vector<std::string> result;
  for (const json& value : array(key)) {
    if (!value.is_string()) refuse(key, "an array of strings");
    result.push_back(value.get<std::string>());
  }
  return result;
}

const json& JsonObject::array(const std::string& key) const {
  const json& value = at(key, "an array");
  if (!value.is_array()) refuse(key, "an array");
  return value;
}

JsonObject JsonObject::object(const std::string& key) const {
  return JsonObject(at(key, "a JSON object"), where_, prefix_ + key);
}

}  // namespace radgpt
