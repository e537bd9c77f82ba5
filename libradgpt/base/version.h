#pragma once

#include <string_view>

namespace radgpt {

/// The version of the library in use, such as "0.1.0", as recorded in manifests and adapter files.
/// <radgpt/version.h> has that of the headers, for the preprocessor.
std::string_view version();

}  // namespace radgpt
