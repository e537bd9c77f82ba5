#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "libradgpt/base/files.h"

namespace radgpt {

/// One file of an archive.
struct ZipEntry {
  std::string name;    ///< without the archive's top folder
  uint64_t begin = 0;  ///< of its bytes, in the archive's file
  uint64_t size = 0;   ///< bytes, stored as they are
  uint32_t crc32 = 0;  ///< of all its bytes, as the directory gives it
};

/// A zip archive as torch.save writes it (APPNOTE.TXT 6.3.10, with Zip64), open for reading: every
/// entry stored without compression, all in one top folder, one after the other from the file's
/// first byte to the central directory, which ends the file. What a zip could hold besides (other
/// methods, encryption, more disks, comments, gaps, names twice or leading out of the folder,
/// local headers that differ from the directory) is refused when the file is opened. Errors are
/// kInput and name the file and the entry.
///
/// No byte goes unchecked: an entry's CRC-32 is computed while its bytes are read. One thread at a
/// time.
class ZipArchive {
 public:
  explicit ZipArchive(InputFile file);

  const std::string& path() const { return file_.path; }
  uint64_t file_bytes() const { return file_.size; }
  /// In the order of the file.
  const std::vector<ZipEntry>& entries() const { return entries_; }
  /// The index of an entry; -1 if there is none of that name.
  int64_t find(std::string_view name) const;

  /// Fills `into` with the bytes [from, from + into.size()) of an entry, which must be within it.
  /// Ranges that follow each other from 0 on are checked with the last of them. Before any other
  /// range is read, the whole entry is, as by `check`.
  void read(size_t entry, std::span<std::byte> into, uint64_t from) const;

  /// Reads an entry that is not checked yet and throws if its CRC-32 is wrong.
  void check(size_t entry) const;

 private:
  /// How much of an entry has been seen in order.
  struct Progress {
    uint64_t next = 0;
    uint32_t crc32 = 0;
    bool is_checked = false;
  };
  void read_next(size_t entry, std::span<std::byte> into) const;

  InputFile file_;
  std::vector<ZipEntry> entries_;
  std::unordered_map<std::string_view, size_t> by_name_;
  mutable std::vector<Progress> progress_;
};

}  // namespace radgpt
