#include "tests/simt/fault.h"

#include <cstring>

#include "libradgpt/base/error.h"

namespace simt {

std::string place(Where where) {
  const char* slash = std::strrchr(where.file_name(), '/');
  return radgpt::concat(slash ? slash + 1 : where.file_name(), ":", where.line());
}

bool same_place(Where a, Where b) {
  return a.line() == b.line() && a.column() == b.column() &&
         (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}

}  // namespace simt
