#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace radgpt {

/// What a value is, for messages, never the value itself: "a string of 5 bytes", "an integer", …
/// For the readers of this folder only: the shared library does not export it.
std::string describe_json(const nlohmann::json& value);

}  // namespace radgpt
