#pragma once

// Catch2 for every test: version 2 of Debian 12 and Ubuntu 22.04 or version 3 of Ubuntu 24.04, by
// the names of version 3.
//
// LibTorch has a CHECK of its own, which ends the process, and whichever header comes last wins
// without a word. So LibTorch's header is read here first, where it can be found, and its CHECK is
// dropped; read again later it adds nothing.
#if __has_include(<c10/util/Logging.h>)
#include <c10/util/Logging.h>
#endif
#undef CHECK

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;  // version 2 has it in the global namespace
#else
#include <catch2/catch.hpp>
#include <string>

namespace Catch::Matchers {
inline auto ContainsSubstring(const std::string& text) { return Contains(text); }  // NOLINT
}  // namespace Catch::Matchers
#endif
