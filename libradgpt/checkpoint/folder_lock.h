#pragma once

#include <string>

#include "libradgpt/base/files.h"

namespace radgpt {

/// The right of one process to write into a folder, held until destroyed or until the process ends,
/// however it ends: the lock (flock) of the file `.lock` in it, which says who holds it, as
/// "PROCESS on HOST". The file stays.
class FolderLock {
 public:
  /// Makes the folder where it is missing. Errors: kInput naming the owner where another process
  /// holds the lock; kEnvironment where the folder cannot be made, listed or written.
  explicit FolderLock(const std::string& folder);

  /// Throws Error(kEnvironment) if the folder was removed or replaced since, so that another
  /// process may hold a lock of the same name.
  void require_held() const;

 private:
  std::string path_;
  FileDescriptor file_;
};

}  // namespace radgpt
