#include "libradgpt/formats/folder_file.h"

#include <algorithm>
#include <filesystem>

#include "libradgpt/base/error.h"

namespace radgpt {
namespace {

namespace fs = std::filesystem;

bool is_inside(const fs::path& path, const fs::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first ==
         folder.end();
}

}  // namespace

bool has_entry(const std::string& folder, std::string_view name) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(fs::path(folder) / name, ignored));
}

InputFile open_inside(const std::string& folder, const std::string& name) {
  const std::string path = (fs::path(folder) / name).string();
  std::error_code root_error;
  std::error_code file_error;
  const fs::path root = fs::canonical(folder, root_error);
  const fs::path file = fs::canonical(path, file_error);
  if (root_error || file_error) return open_regular_file(path);  // says what is wrong
  const bool is_snapshot = root.parent_path().filename() == "snapshots";
  const fs::path blobs = root.parent_path().parent_path() / "blobs";
  require(is_inside(file, root) || (is_snapshot && is_inside(file, blobs)), path,
          ": must be in the folder, got a link that leads out of it");
  InputFile opened = open_regular_file(file.string());
  opened.path = path;
  return opened;
}

}  // namespace radgpt
