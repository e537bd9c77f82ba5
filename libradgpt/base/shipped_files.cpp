#include "libradgpt/base/shipped_files.h"

#include <dlfcn.h>

#include <filesystem>

#include "libradgpt/base/error.h"

namespace radgpt {

std::string shipped_files() {
  Dl_info library = {};
  if (dladdr(reinterpret_cast<const void*>(&shipped_files), &library) == 0) {
    fail(ErrorKind::kEnvironment, "radgpt: must be a shared library, got another");
  }
  const std::filesystem::path file = std::filesystem::canonical(library.dli_fname);
  const std::filesystem::path folder =
      (file.parent_path() / RADGPT_SHIPPED_FILES).lexically_normal();
  if (!std::filesystem::is_directory(folder)) {
    fail(ErrorKind::kEnvironment, folder.string(), ": must be there beside ", file.string(),
         ", got no folder");
  }
  return folder.string();
}

}  // namespace radgpt
