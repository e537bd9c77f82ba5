#include "libradgpt/formats/zip_archive.h"

#include <algorithm>
#include <utility>

#include "libradgpt/base/error.h"
#include "libradgpt/base/hash.h"
#include "libradgpt/formats/zip_directory.h"

namespace radgpt {
namespace {

/// Read and summed before they leave the processor's cache.
constexpr size_t kPieceBytes = size_t{1} << 20;

}  // namespace

ZipArchive::ZipArchive(InputFile file)
    : file_(std::move(file)), entries_(read_zip_directory(file_)), progress_(entries_.size()) {
  for (size_t i = 0; i < entries_.size(); ++i) by_name_[entries_[i].name] = i;
}

int64_t ZipArchive::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? -1 : static_cast<int64_t>(found->second);
}

void ZipArchive::read(size_t entry, std::span<std::byte> into, uint64_t from) const {
  if (into.empty()) return;
  Progress& progress = progress_[entry];
  if (!progress.is_checked) {
    if (from == 0) progress = {};
    if (from == progress.next) return read_next(entry, into);
    check(entry);
  }
  read_exactly(file_, entries_[entry].begin + from,
               {reinterpret_cast<char*>(into.data()), into.size()});
}

void ZipArchive::check(size_t entry) const {
  Progress& progress = progress_[entry];
  if (progress.is_checked) return;
  progress = {};
  std::vector<std::byte> piece(std::min<uint64_t>(kPieceBytes, entries_[entry].size));
  do {
    const uint64_t left = entries_[entry].size - progress.next;
    read_next(entry, std::span(piece).first(std::min<uint64_t>(piece.size(), left)));
  } while (!progress.is_checked);
}

/// Reads from where the last call ended.
void ZipArchive::read_next(size_t entry, std::span<std::byte> into) const {
  const ZipEntry& read = entries_[entry];
  Progress& progress = progress_[entry];
  do {
    const std::span<std::byte> piece = into.first(std::min(kPieceBytes, into.size()));
    const std::span<char> bytes(reinterpret_cast<char*>(piece.data()), piece.size());
    read_exactly(file_, read.begin + progress.next, bytes);
    progress.crc32 = crc32({bytes.data(), bytes.size()}, progress.crc32);
    progress.next += piece.size();
    into = into.subspan(piece.size());
  } while (!into.empty());
  if (progress.next < read.size) return;
  require(progress.crc32 == read.crc32, file_.path, ": ", read.name,
          ": must have the CRC-32 of the zip's directory, got another: the file is damaged");
  progress.is_checked = true;
}

}  // namespace radgpt
