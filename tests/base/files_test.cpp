#include "libradgpt/base/files.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "libradgpt/base/error.h"
#include "tests/base/temporary_folder.h"
#include "tests/base/without_privileges.h"
#include "tests/catch.h"

namespace radgpt {
namespace {

template <typename Action>
std::string refusal(ErrorKind kind, const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    CHECK(error.kind() == kind);
    return error.what();
  }
  return "accepted";
}

std::string refusal_to_read(const std::string& path) {
  return refusal(ErrorKind::kInput, [&] { read_file(path, 100); });
}

/// While it lives, no file of this process can grow beyond `bytes`, as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

TEST_CASE("Files: a file is read whole up to the limit") {
  const TemporaryFolder folder;
  CHECK(read_file(folder.write("a", std::string("x\0y", 3)), 3) == std::string("x\0y", 3));
  CHECK(read_file(folder.write("empty", ""), 0).empty());
  const std::string path = folder.write("b", "12345");
  CHECK(refusal(ErrorKind::kInput, [&] { read_file(path, 4); }) ==
        path + ": must have at most 4 bytes, got 5");
}

TEST_CASE("Files: only regular files are read") {
  const TemporaryFolder folder;
  mkfifo(folder.file("fifo").c_str(), 0600);
  std::filesystem::create_symlink("loop", folder.file("loop"));
  std::filesystem::create_symlink("nowhere", folder.file("broken"));
  CHECK(refusal_to_read(folder.path()) == folder.path() + ": must be a file, got a folder");
  CHECK(refusal_to_read(folder.file("fifo")) ==
        folder.file("fifo") + ": must be a regular file, got a pipe, socket or device");
  CHECK(refusal_to_read("/dev/zero") ==
        "/dev/zero: must be a regular file, got a pipe, socket or device");
  CHECK(refusal_to_read(folder.file("none")) == folder.file("none") + ": no such file");
  CHECK(refusal_to_read(folder.file("broken")) == folder.file("broken") + ": no such file");
  CHECK(refusal_to_read(folder.file("loop")) ==
        folder.file("loop") + ": its symbolic links lead in a circle");
  CHECK(refusal_to_read(folder.write("plain", "") + "/under") ==
        folder.file("plain") + "/under: no such file");
  CHECK(refusal_to_read(std::string("a\0b", 3)) == "a file name contains a NUL byte");
}

TEST_CASE("Files: a file without permission is refused") {
  const TemporaryFolder folder;
  const std::string path = folder.write("a", "x");
  chmod(path.c_str(), 0);
  const WithoutPrivileges guard;
  CHECK(refusal_to_read(path) == path + ": no permission to read it");
}

TEST_CASE("Files: a file that shrinks after it was opened is refused") {
  const TemporaryFolder folder;
  const InputFile file = open_regular_file(folder.write("a", "1234567890"));
  std::filesystem::resize_file(file.path, 4);
  std::string bytes(10, '\0');
  CHECK(refusal(ErrorKind::kInput, [&] { read_exactly(file, 0, bytes); }) ==
        file.path + ": ends at byte 4, it had 10 bytes when it was opened");
}

TEST_CASE("Files: an atomic file replaces the old one and is private") {
  const TemporaryFolder folder;
  const std::string path = folder.write("a", "old");
  write_file_atomically(path, "new");
  CHECK(folder.read("a") == "new");
  CHECK(folder.entry_count() == 1);
  struct stat status {};
  stat(path.c_str(), &status);
  CHECK((status.st_mode & 0777) == 0600);
}

TEST_CASE("Files: an atomic file that is not committed leaves the old one") {
  const TemporaryFolder folder;
  const std::string path = folder.write("a", "old");
  {
    AtomicFile file(path);
    file.write("new");
  }
  CHECK(folder.read("a") == "old");
  CHECK(folder.entry_count() == 1);
}

TEST_CASE("Files: a write that fails half way leaves nothing but the old file") {
  const TemporaryFolder folder;
  const std::string path = folder.write("a", "old");
  std::string message;
  {
    const FileSizeLimit limit(5000);
    message = refusal(ErrorKind::kEnvironment,
                      [&] { write_file_atomically(path, std::string(10'000, 'x')); });
  }
  CHECK(message == path + ": cannot be written: File too large");
  CHECK(folder.read("a") == "old");
  CHECK(folder.entry_count() == 1);
}

TEST_CASE("Files: a folder that is missing, or a folder in the way, is an Error") {
  const TemporaryFolder folder;
  CHECK(refusal(ErrorKind::kEnvironment, [&] {
          write_file_atomically(folder.file("none/a"), "x");
        }) == folder.file("none/a") + ": cannot be created: No such file or directory");
  std::filesystem::create_directory(folder.file("taken"));
  CHECK(refusal(ErrorKind::kEnvironment, [&] {
          write_file_atomically(folder.file("taken"), "x");
        }) == folder.file("taken") + ": cannot be put in place: Is a directory");
  CHECK(folder.entry_count() == 1);
}

}  // namespace
}  // namespace radgpt
