#pragma once

#include <string_view>

namespace radgpt {

/// The version of this library, such as "0.1.0", as recorded in manifests and adapter files.
std::string_view version();

}  // namespace radgpt
