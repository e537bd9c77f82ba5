#pragma once

#include <string>

namespace radgpt {

/// Names the program that runs: the version of LibTorch, and SHA-256 over the executable and the
/// libraries of this project that it has loaded. Ranks of one run have the same.
std::string program_digest();

}  // namespace radgpt
