#include "libradgpt/base/folders.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "libradgpt/base/error.h"
#include "libradgpt/base/files.h"
#include "libradgpt/base/system_call.h"

namespace radgpt {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const std::string& path, const char* action, int error) {
  fail(ErrorKind::kEnvironment, path, ": cannot be ", action, ": ", std::strerror(error));
}

int try_to_make(const std::string& path) {
  constexpr mode_t kOwnerOnly = 0700;
  return until_uninterrupted([&] { return mkdir(path.c_str(), kOwnerOnly); });
}

struct CloseFolder {
  void operator()(DIR* folder) const { closedir(folder); }
};

/// The next entry, or null at the end.
const dirent* next_entry(DIR* folder, const std::string& path) {
  const dirent* entry = nullptr;
  do {
    errno = 0;
    entry = readdir(folder);
  } while (entry == nullptr && errno == EINTR);
  if (entry == nullptr && errno != 0) refuse(path, "listed", errno);
  return entry;
}

}  // namespace

std::vector<std::string> list_folder(const std::string& path) {
  DIR* opened = nullptr;
  do {
    opened = opendir(path.c_str());
  } while (opened == nullptr && errno == EINTR);
  if (opened == nullptr) refuse(path, "listed", errno);
  const std::unique_ptr<DIR, CloseFolder> folder(opened);
  std::vector<std::string> names;
  while (const dirent* entry = next_entry(folder.get(), path)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool entry_exists(const std::string& path) {
  struct stat status {};
  if (until_uninterrupted([&] { return lstat(path.c_str(), &status); }) == 0) return true;
  if (errno != ENOENT && errno != ENOTDIR) refuse(path, "looked at", errno);
  return false;
}

void make_folder(const std::string& path) {
  if (try_to_make(path) != 0) refuse(path, "made", errno);
}

void make_folders(const std::string& path) {
  fs::path above;
  for (const fs::path& part : fs::path(path)) {
    const fs::path folder = above / part;
    if (!part.empty() && !entry_exists(folder.string())) {
      // Another process may have been quicker.
      if (try_to_make(folder.string()) != 0 && errno != EEXIST) refuse(path, "made", errno);
      sync_folder(above.empty() ? "." : above.string());
    }
    above = folder;
  }
}

void rename_entry(const std::string& from, const std::string& to) {
  if (until_uninterrupted([&] { return std::rename(from.c_str(), to.c_str()); }) != 0) {
    fail(ErrorKind::kEnvironment, from, ": cannot be renamed to ", to, ": ", std::strerror(errno));
  }
}

bool exchange_entries(const std::string& a, const std::string& b) {
  const auto exchange = [&] {
    return renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE);
  };
  if (until_uninterrupted(exchange) == 0) return true;
  if (errno == EINVAL || errno == ENOSYS) return false;
  fail(ErrorKind::kEnvironment, a, ": cannot be exchanged with ", b, ": ", std::strerror(errno));
}

void remove_tree(const std::string& path) {
  std::error_code error;
  do {
    fs::remove_all(path, error);
  } while (error == std::errc::interrupted);
  if (error) refuse(path, "removed", error.value());
}

}  // namespace radgpt
