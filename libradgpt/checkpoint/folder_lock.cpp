#include "libradgpt/checkpoint/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "libradgpt/base/error.h"
#include "libradgpt/base/folders.h"
#include "libradgpt/base/system_call.h"

namespace radgpt {
namespace {

std::string host() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "an unknown host";
}

/// What the owner wrote, as far as it is fit for one line.
std::string owner_of(int file) {
  std::string text(300, '\0');
  const auto read = [&] { return ::pread(file, text.data(), text.size(), 0); };
  text.resize(static_cast<size_t>(std::max<ssize_t>(until_uninterrupted(read), 0)));
  const auto fit = [](char c) { return c >= ' ' && c <= '~'; };
  text.erase(std::find_if_not(text.begin(), text.end(), fit), text.end());
  return text.empty() ? "an unknown process" : concat("process ", text);
}

}  // namespace

FolderLock::FolderLock(const std::string& folder) : path_(folder + "/.lock") {
  make_folders(folder);
  const auto look = [&] {
    return ::faccessat(AT_FDCWD, folder.c_str(), R_OK | W_OK | X_OK, AT_EACCESS);
  };
  if (until_uninterrupted(look) != 0) {
    fail(ErrorKind::kEnvironment, folder,
         ": must be a folder that can be written: ", std::strerror(errno));
  }
  const auto refuse = [&](const char* action) {
    fail(ErrorKind::kEnvironment, path_, ": cannot be ", action, ": ", std::strerror(errno));
  };
  constexpr int kFlags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
  file_ = FileDescriptor(until_uninterrupted([&] { return ::open(path_.c_str(), kFlags, 0600); }));
  const int file = file_.get();
  if (file < 0) refuse("opened");
  if (until_uninterrupted([&] { return ::flock(file, LOCK_EX | LOCK_NB); }) != 0) {
    if (errno != EWOULDBLOCK) refuse("locked");
    fail(ErrorKind::kInput, folder, ": must be used by one run at a time, is in use by ",
         owner_of(file));
  }
  const std::string owner = concat(::getpid(), " on ", host());
  if (until_uninterrupted([&] { return ::ftruncate(file, 0); }) != 0) refuse("written");
  const auto write = [&] { return ::pwrite(file, owner.data(), owner.size(), 0); };
  if (until_uninterrupted(write) < 0) refuse("written");
}

void FolderLock::require_held() const {
  struct stat held {
  }, named{};
  const bool known = until_uninterrupted([&] { return ::fstat(file_.get(), &held); }) == 0;
  if (known && until_uninterrupted([&] { return ::stat(path_.c_str(), &named); }) == 0 &&
      held.st_dev == named.st_dev && held.st_ino == named.st_ino) {
    return;
  }
  fail(ErrorKind::kEnvironment, path_,
       ": must be the file that this run has locked; the folder was removed or replaced");
}

}  // namespace radgpt
