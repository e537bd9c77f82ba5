#pragma once

#include <string>

namespace radgpt {

/// The name of the folder at a path: its last part, also where the path ends with a slash or is the
/// working folder; empty for an empty path and for the root.
std::string folder_name(const std::string& path);

}  // namespace radgpt
