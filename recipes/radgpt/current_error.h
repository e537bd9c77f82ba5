#pragma once

#include "libradgpt/base/error.h"

namespace radgpt {

/// In a handler, the exception at hand as one of ours: LibTorch's without its stack trace, and a
/// lack of memory as kEnvironment.
Error current_error();

}  // namespace radgpt
