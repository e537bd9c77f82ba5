#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace radgpt {

/// Owns an open file descriptor; -1 is none.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int descriptor) : descriptor_(descriptor) {}
  ~FileDescriptor();
  FileDescriptor(FileDescriptor&& other) noexcept : descriptor_(other.release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;

  int get() const { return descriptor_; }
  /// Gives the descriptor away; the caller closes it.
  int release();

 private:
  int descriptor_ = -1;
};

/// A regular file open for reading.
struct InputFile {
  std::string path;
  FileDescriptor descriptor;
  uint64_t size = 0;  ///< when it was opened
};

/// Opens `path`, which may be a link, for reading. Anything but a regular file (directory, FIFO,
/// device), a missing file, a link loop and a lack of permission are Errors of kind kInput.
InputFile open_regular_file(const std::string& path);

/// Fills `into` from byte `offset` on, whatever others do with the file's position. A file that
/// ends early was shortened after it was opened: kInput; a failing disk: kEnvironment.
void read_exactly(const InputFile& file, uint64_t offset, std::span<char> into);

/// The next bytes after the file's position, at most into.size(); 0 at the end of the file.
size_t read_some(const InputFile& file, std::span<char> into);

/// The whole of a regular file. More than `limit` bytes are an Error that names both sizes.
std::string read_file(const std::string& path, uint64_t limit);

/// A file that is there wholly or not at all, whenever the machine stops: the bytes go to a hidden
/// file with mode 0600 in the same folder, `commit` makes them durable (fsync), renames the file
/// to `path`, replacing what was there, and makes the folder durable. Destroyed before `commit`,
/// or after an error, it leaves nothing behind. All errors are kEnvironment; a full disk names the
/// bytes that are free.
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Appends.
  void write(std::string_view bytes);
  /// Once, at the end: the file is at `path` when this returns.
  void commit();

 private:
  [[noreturn]] void give_up(const char* action);

  std::string path_;
  std::string temporary_path_;
  FileDescriptor descriptor_;
};

/// An AtomicFile in one call.
void write_file_atomically(const std::string& path, std::string_view bytes);

/// What an ordinary user may still write to the disk that holds `path`, which must exist; nothing
/// if the disk does not say.
std::optional<uint64_t> free_bytes(const std::string& path);

/// Makes the entries of a folder (names, renames, removals) durable. Errors: kEnvironment.
void sync_folder(const std::string& path);

}  // namespace radgpt
