#include "libradgpt/base/folder_name.h"

#include <filesystem>

namespace radgpt {

namespace fs = std::filesystem;

std::string folder_name(const std::string& path) {
  if (path.empty()) return "";
  std::error_code error;
  const fs::path whole = fs::absolute(path, error);  // fails where the working folder is gone
  const fs::path normal = (error ? fs::path(path) : whole).lexically_normal();
  return normal.has_filename() ? normal.filename().string()
                               : normal.parent_path().filename().string();
}

}  // namespace radgpt
