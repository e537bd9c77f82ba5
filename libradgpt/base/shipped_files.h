#pragma once

#include <string>

namespace radgpt {

/// The folder of what is shipped beside the library, PREFIX/share/radgpt: `recipes`, and `words`,
/// the word lists, where there are any. Found from the place that the library was loaded from, so a
/// copy may be moved; a build folder is laid out alike. Throws Error(kEnvironment) if it is absent.
std::string shipped_files();

}  // namespace radgpt
