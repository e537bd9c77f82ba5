#include "libradgpt/base/version.h"

#include <radgpt/version.h>

namespace radgpt {

std::string_view version() { return RADGPT_VERSION; }

}  // namespace radgpt
