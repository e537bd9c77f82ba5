#pragma once

#include <source_location>
#include <stdexcept>
#include <string>

namespace simt {

using Where = std::source_location;

/// What a kernel did wrong, in one line: operation, kernel, block, thread, what, file and line.
/// Thrown by the launch, after which the results of the kernel are worth nothing.
class Fault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// "rms_norm.cuh:87"
std::string place(Where where);

/// True where a and b are the same place of the source.
bool same_place(Where a, Where b);

}  // namespace simt
