#include "libradgpt/formats/json_description.h"

#include "libradgpt/base/error.h"

namespace radgpt {

using nlohmann::json;

std::string describe_json(const json& value) {
  switch (value.type()) {
    case json::value_t::null:
      return "null";
    case json::value_t::boolean:
      return "true or false";
    case json::value_t::number_integer:
    case json::value_t::number_unsigned:
      return "an integer";
    case json::value_t::number_float:
      return "a number that is no integer";
    case json::value_t::string:
      return concat("a string of ", value.get_ref<const std::string&>().size(), " bytes");
    case json::value_t::array:
      return concat("an array of ", value.size(), " values");
    case json::value_t::object:
      return concat("an object of ", value.size(), " keys");
    default:
      return "something else";
  }
}

}  // namespace radgpt
