#include "libradgpt/base/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "libradgpt/base/error.h"
#include "libradgpt/base/system_call.h"

namespace radgpt {
namespace {

constexpr size_t kLargestTransfer = size_t{1} << 30;  // one call moves at most 2 GiB on Linux

std::string folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

int open_file(const std::string& path, int flags) {
  constexpr mode_t kOwnerOnly = 0600;
  return until_uninterrupted([&] { return open(path.c_str(), flags | O_CLOEXEC, kOwnerOnly); });
}

[[noreturn]] void refuse_to_open(const std::string& path, int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      fail(ErrorKind::kInput, path, ": no such file");
    case EACCES:
    case EPERM:
      fail(ErrorKind::kInput, path, ": no permission to read it");
    case ELOOP:
      fail(ErrorKind::kInput, path, ": its symbolic links lead in a circle");
    case ENAMETOOLONG:
      fail(ErrorKind::kInput, "a file name of ", path.size(), " bytes is too long");
    case ENXIO:
      fail(ErrorKind::kInput, path, ": must be a regular file");
    default:
      fail(ErrorKind::kEnvironment, path, ": cannot be opened: ", std::strerror(error));
  }
}

std::string free_space(const std::string& path) {
  const std::optional<uint64_t> bytes = free_bytes(folder_of(path));
  return bytes ? concat(", ", *bytes, " bytes free") : "";
}

}  // namespace

FileDescriptor::~FileDescriptor() {
  if (descriptor_ >= 0) close(descriptor_);
}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

int FileDescriptor::release() { return std::exchange(descriptor_, -1); }

InputFile open_regular_file(const std::string& path) {
  require(path.find('\0') == std::string::npos, "a file name contains a NUL byte");
  // Without O_NONBLOCK, opening a FIFO would wait for a writer.
  FileDescriptor descriptor(open_file(path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  if (descriptor.get() < 0) refuse_to_open(path, errno);
  struct stat status {};
  if (until_uninterrupted([&] { return fstat(descriptor.get(), &status); }) != 0) {
    refuse_to_open(path, errno);
  }
  require(!S_ISDIR(status.st_mode), path, ": must be a file, got a folder");
  require(S_ISREG(status.st_mode), path, ": must be a regular file, got a pipe, socket or device");
  return {path, std::move(descriptor), static_cast<uint64_t>(status.st_size)};
}

void read_exactly(const InputFile& file, uint64_t offset, std::span<char> into) {
  while (!into.empty()) {
    const ssize_t count = until_uninterrupted([&] {
      return pread(file.descriptor.get(), into.data(), std::min(into.size(), kLargestTransfer),
                   static_cast<off_t>(offset));
    });
    if (count < 0) {
      fail(ErrorKind::kEnvironment, file.path, ": cannot be read: ", std::strerror(errno));
    }
    require(count > 0, file.path, ": ends at byte ", offset, ", it had ", file.size,
            " bytes when it was opened");
    into = into.subspan(static_cast<size_t>(count));
    offset += static_cast<uint64_t>(count);
  }
}

size_t read_some(const InputFile& file, std::span<char> into) {
  const ssize_t count = until_uninterrupted([&] {
    return read(file.descriptor.get(), into.data(), std::min(into.size(), kLargestTransfer));
  });
  if (count < 0) {
    fail(ErrorKind::kEnvironment, file.path, ": cannot be read: ", std::strerror(errno));
  }
  return static_cast<size_t>(count);
}

std::string read_file(const std::string& path, uint64_t limit) {
  const InputFile file = open_regular_file(path);
  require(file.size <= limit, path, ": must have at most ", limit, " bytes, got ", file.size);
  std::string bytes(file.size, '\0');
  read_exactly(file, 0, bytes);
  return bytes;
}

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
  static std::atomic<int> serial{0};
  const std::filesystem::path target(path_);
  temporary_path_ = (target.parent_path() /
                     concat(".", target.filename().string(), ".tmp-", getpid(), "-", serial++))
                        .string();
  descriptor_ =
      FileDescriptor(open_file(temporary_path_, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW));
  if (descriptor_.get() < 0) {
    fail(ErrorKind::kEnvironment, path_, ": cannot be created: ", std::strerror(errno));
  }
}

AtomicFile::~AtomicFile() {
  if (temporary_path_.empty()) return;
  until_uninterrupted([&] { return unlink(temporary_path_.c_str()); });
}

void AtomicFile::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = until_uninterrupted([&] {
      return ::write(descriptor_.get(), bytes.data(), std::min(bytes.size(), kLargestTransfer));
    });
    if (count < 0) give_up("written");
    bytes.remove_prefix(static_cast<size_t>(count));
  }
}

void AtomicFile::commit() {
  // A failed fsync is not tried again: Linux then counts the lost pages as clean (Rebello et al.,
  // "Can applications recover from fsync failures?", USENIX ATC 2020). An interrupted one is.
  const int descriptor = descriptor_.get();
  if (until_uninterrupted([&] { return fsync(descriptor); }) != 0) give_up("made durable");
  // An interrupted close has closed all the same.
  if (close(descriptor_.release()) != 0 && errno != EINTR) give_up("closed");
  const auto put_in_place = [&] { return rename(temporary_path_.c_str(), path_.c_str()); };
  if (until_uninterrupted(put_in_place) != 0) give_up("put in place");
  temporary_path_.clear();
  sync_folder(folder_of(path_));
}

void AtomicFile::give_up(const char* action) {
  const int error = errno;
  const std::string space = error == ENOSPC || error == EDQUOT ? free_space(path_) : "";
  until_uninterrupted([&] { return unlink(temporary_path_.c_str()); });
  temporary_path_.clear();
  fail(ErrorKind::kEnvironment, path_, ": cannot be ", action, ": ", std::strerror(error), space);
}

void write_file_atomically(const std::string& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

std::optional<uint64_t> free_bytes(const std::string& path) {
  struct statvfs disk {};
  if (until_uninterrupted([&] { return statvfs(path.c_str(), &disk); }) != 0) return std::nullopt;
  if (disk.f_blocks == 0) return std::nullopt;  // some network file systems count nothing
  return uint64_t{disk.f_bavail} * disk.f_frsize;
}

void sync_folder(const std::string& path) {
  const FileDescriptor folder(open_file(path, O_RDONLY | O_DIRECTORY));
  if (folder.get() < 0 || until_uninterrupted([&] { return fsync(folder.get()); }) != 0) {
    fail(ErrorKind::kEnvironment, path, ": cannot be made durable: ", std::strerror(errno));
  }
}

}  // namespace radgpt
