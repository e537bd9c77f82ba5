#include "libradgpt/formats/zip_directory.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "libradgpt/base/error.h"
#include "libradgpt/base/text.h"

namespace radgpt {
namespace {

// Sizes and signatures of APPNOTE.TXT: 4.3.7 local header, 4.3.9 data descriptor, 4.3.12 central
// header, 4.3.14 to 4.3.16 ends of the directory.
constexpr uint64_t kLocalBytes = 30, kCentralBytes = 46;
constexpr uint64_t kEndBytes = 22, kEnd64Bytes = 56, kLocatorBytes = 20;
constexpr uint32_t kLocalSign = 0x04034B50, kCentralSign = 0x02014B50, kDescriptorSign = 0x08074B50;
constexpr uint32_t kEndSign = 0x06054B50, kEnd64Sign = 0x06064B50, kLocatorSign = 0x07064B50;
constexpr uint16_t kEncrypted = 1 << 0, kHasDescriptor = 1 << 3, kUtf8 = 1 << 11;
constexpr uint16_t kZip64Extra = 1;
constexpr uint16_t kIn64 = 0xFFFF;         // a count that the Zip64 end holds
constexpr uint32_t kInExtra = 0xFFFFFFFF;  // a size that the Zip64 field holds
constexpr uint64_t kMostEntries = 200'000;
constexpr uint64_t kLargestDirectory = 64 << 20;
constexpr size_t kLongestName = 512;
/// torch.save pads a local header so that data begin at a multiple of 64 bytes, or of what
/// torch.utils.serialization.config.save.storage_alignment says.
constexpr size_t kMostPadding = 4096 + 64;

template <typename Number>
Number number_at(std::string_view bytes, size_t offset) {
  Number number;
  std::memcpy(&number, bytes.data() + offset, sizeof number);
  return number;
}

std::string read_bytes(const InputFile& file, uint64_t offset, uint64_t count) {
  std::string bytes(count, '\0');
  read_exactly(file, offset, bytes);
  return bytes;
}

struct Directory {
  uint64_t begin = 0;
  uint64_t size = 0;
  uint64_t entries = 0;
};

void require_one_disk(const InputFile& file, bool is_one) {
  require(is_one, file.path, ": zip: must be on one disk, got parts of several");
}

/// The Zip64 end, which lies before its locator, which lies before the end.
Directory read_end_64(const InputFile& file, uint64_t locator_begin) {
  require(locator_begin >= kEnd64Bytes, file.path, ": zip: must hold its Zip64 end, got ",
          locator_begin, " bytes before its locator");
  const uint64_t begin = locator_begin - kEnd64Bytes;
  const std::string end = read_bytes(file, begin, kEnd64Bytes + kLocatorBytes);
  const std::string_view locator = std::string_view(end).substr(kEnd64Bytes);
  require_one_disk(file,
                   number_at<uint32_t>(locator, 4) == 0 && number_at<uint32_t>(locator, 16) == 1);
  require(number_at<uint64_t>(locator, 8) == begin && number_at<uint32_t>(end, 0) == kEnd64Sign &&
              number_at<uint64_t>(end, 4) == kEnd64Bytes - 12,
          file.path, ": zip: its Zip64 end must be at byte ", begin, " and have ", kEnd64Bytes,
          " bytes, got another");
  require_one_disk(file, number_at<uint32_t>(end, 16) == 0 && number_at<uint32_t>(end, 20) == 0 &&
                             number_at<uint64_t>(end, 24) == number_at<uint64_t>(end, 32));
  return {number_at<uint64_t>(end, 48), number_at<uint64_t>(end, 40), number_at<uint64_t>(end, 32)};
}

Directory find_directory(const InputFile& file) {
  require(file.size >= kEndBytes, file.path, ": zip: must have at least ", kEndBytes,
          " bytes, got ", file.size);
  const uint64_t end_begin = file.size - kEndBytes;
  const std::string end = read_bytes(file, end_begin, kEndBytes);
  require(number_at<uint32_t>(end, 0) == kEndSign && number_at<uint16_t>(end, 20) == 0, file.path,
          ": zip: must end with an end of directory without comment, got other bytes (is the file "
          "cut short?)");
  const auto entries = number_at<uint16_t>(end, 10);
  const auto size = number_at<uint32_t>(end, 12);
  const auto begin = number_at<uint32_t>(end, 16);
  require_one_disk(file, number_at<uint16_t>(end, 4) == 0 && number_at<uint16_t>(end, 6) == 0 &&
                             number_at<uint16_t>(end, 8) == entries);
  Directory directory{begin, size, entries};
  uint64_t directory_end = end_begin;
  const bool has_locator =
      end_begin >= kLocatorBytes &&
      number_at<uint32_t>(read_bytes(file, end_begin - kLocatorBytes, 4), 0) == kLocatorSign;
  if (has_locator) {
    directory = read_end_64(file, end_begin - kLocatorBytes);
    directory_end = end_begin - kLocatorBytes - kEnd64Bytes;
    const bool agrees = (entries == kIn64 || entries == directory.entries) &&
                        (size == kInExtra || size == directory.size) &&
                        (begin == kInExtra || begin == directory.begin);
    require(agrees, file.path, ": zip: both ends of its directory must agree, got others");
  }
  require(directory.begin <= directory_end && directory.size == directory_end - directory.begin,
          file.path, ": zip: its directory must end at byte ", directory_end, ", got one of ",
          directory.size, " bytes at byte ", directory.begin);
  require(directory.size <= kLargestDirectory && directory.entries <= kMostEntries, file.path,
          ": zip: its directory must have at most ", kMostEntries, " entries in ",
          kLargestDirectory, " bytes, got ", directory.entries, " in ", directory.size);
  return directory;
}

/// What a local or central header says of an entry.
struct Header {
  uint16_t flags = 0;
  uint16_t method = 0;
  uint32_t crc32 = 0;
  uint64_t stored = 0;
  uint64_t size = 0;
  uint64_t offset = 0;  ///< of the local header; only in the central one
};

/// Replaces the numbers that do not fit into 32 bits by those of the Zip64 field, which lists them
/// in this order. False if the fields are not well formed or lack one.
bool take_zip64_numbers(std::string_view fields, Header& header) {
  bool is_taken = false;
  while (!fields.empty()) {
    if (fields.size() < 4) return false;
    const auto id = number_at<uint16_t>(fields, 0);
    const size_t length = number_at<uint16_t>(fields, 2);
    if (length > fields.size() - 4) return false;
    std::string_view field = fields.substr(4, length);
    fields.remove_prefix(4 + length);
    if (id != kZip64Extra) continue;
    if (is_taken) return false;
    is_taken = true;
    for (uint64_t* number : {&header.size, &header.stored, &header.offset}) {
      if (*number != kInExtra) continue;
      if (field.size() < sizeof *number) return false;
      *number = number_at<uint64_t>(field, 0);
      field.remove_prefix(sizeof *number);
    }
  }
  return is_taken ||
         (header.size != kInExtra && header.stored != kInExtra && header.offset != kInExtra);
}

void check_kind(const std::string& place, const Header& header) {
  require((header.flags & kEncrypted) == 0, place, ": must not be encrypted");
  require((header.flags & ~(kHasDescriptor | kUtf8)) == 0, place,
          ": must have no zip flags but those of torch.save, got ", header.flags);
  require(header.method == 0, place, ": must be stored without compression, got method ",
          header.method);
  require(header.stored == header.size, place, ": must be stored as it is, ", header.size,
          " bytes, got ", header.stored);
}

/// Whether a name is a path inside a folder that says nothing else on any system.
bool is_plain_path(std::string_view name) {
  const auto is_bad = [](char byte) {
    return static_cast<uint8_t>(byte) < 32 || byte == 127 || byte == '\\' || byte == ':';
  };
  if (name.empty() || name.size() > kLongestName || find_invalid_utf8(name)) return false;
  if (std::any_of(name.begin(), name.end(), is_bad)) return false;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") return false;
    begin = end + 1;
  }
  return true;
}

struct CentralEntry {
  std::string name;
  Header header;
};

std::vector<CentralEntry> read_central_headers(const InputFile& file, const Directory& directory) {
  const std::string bytes = read_bytes(file, directory.begin, directory.size);
  std::vector<CentralEntry> entries;
  std::string_view rest = bytes;
  for (uint64_t i = 0; i < directory.entries; ++i) {
    const std::string place = concat(file.path, ": zip: entry ", i);
    require(rest.size() >= kCentralBytes && number_at<uint32_t>(rest, 0) == kCentralSign, place,
            ": must be in the directory, which has ", directory.entries, " entries");
    const size_t name_bytes = number_at<uint16_t>(rest, 28);
    const size_t extra_bytes = number_at<uint16_t>(rest, 30);
    require(number_at<uint16_t>(rest, 32) == 0 &&
                name_bytes + extra_bytes <= rest.size() - kCentralBytes,
            place, ": must have no comment and end within the directory");
    require_one_disk(file, number_at<uint16_t>(rest, 34) == 0);
    require(number_at<uint16_t>(rest, 36) == 0 && number_at<uint32_t>(rest, 38) == 0, place,
            ": must have no attributes, such as a folder's");
    CentralEntry entry{std::string(rest.substr(kCentralBytes, name_bytes)),
                       {number_at<uint16_t>(rest, 8), number_at<uint16_t>(rest, 10),
                        number_at<uint32_t>(rest, 16), number_at<uint32_t>(rest, 20),
                        number_at<uint32_t>(rest, 24), number_at<uint32_t>(rest, 42)}};
    require(is_plain_path(entry.name), place,
            ": name: must be a path inside the archive's folder, got one of ", name_bytes,
            " bytes that is not");
    require(take_zip64_numbers(rest.substr(kCentralBytes + name_bytes, extra_bytes), entry.header),
            file.path, ": ", entry.name,
            ": Zip64 sizes: must be there once, as the zip format says");
    check_kind(file.path + ": " + entry.name, entry.header);
    entries.push_back(std::move(entry));
    rest.remove_prefix(kCentralBytes + name_bytes + extra_bytes);
  }
  require(rest.empty(), file.path, ": zip: its directory must end with entry ", directory.entries,
          ", got ", rest.size(), " more bytes");
  return entries;
}

/// Takes the one top folder off all names, which must differ.
void strip_folder(const InputFile& file, std::vector<CentralEntry>& entries) {
  const std::string first = entries.empty() ? "" : entries.front().name;
  const std::string folder = first.substr(0, first.find('/') + 1);
  std::set<std::string_view> names;
  for (CentralEntry& entry : entries) {
    require(!folder.empty() && entry.name.starts_with(folder), file.path, ": ", entry.name,
            ": must lie in the archive's one top folder");
    entry.name.erase(0, folder.size());
    require(names.insert(entry.name).second, file.path, ": ", entry.name, ": must be there once");
  }
}

/// The data descriptor that may follow an entry's bytes: signature, CRC-32 and both sizes of 4 or
/// 8 bytes.
bool is_descriptor(std::string_view bytes, const Header& header) {
  if (bytes.size() != 16 && bytes.size() != 24) return false;
  const bool is_wide = bytes.size() == 24;
  const uint64_t stored = is_wide ? number_at<uint64_t>(bytes, 8) : number_at<uint32_t>(bytes, 8);
  const uint64_t size = is_wide ? number_at<uint64_t>(bytes, 16) : number_at<uint32_t>(bytes, 12);
  return number_at<uint32_t>(bytes, 0) == kDescriptorSign &&
         number_at<uint32_t>(bytes, 4) == header.crc32 && stored == header.stored &&
         size == header.size;
}

/// Compares an entry's local header and descriptor with the directory; `end` is where the next
/// entry begins. Gives the place of the entry's bytes.
uint64_t check_local(const InputFile& file, const CentralEntry& entry, const std::string& full_name,
                     uint64_t end) {
  const std::string place = file.path + ": " + entry.name;
  const Header& central = entry.header;
  const uint64_t room = end - central.offset;
  require(room >= kLocalBytes + full_name.size(), place, ": must have a local header, got ", room,
          " bytes for it");
  const std::string fixed = read_bytes(file, central.offset, kLocalBytes + full_name.size());
  const size_t name_bytes = number_at<uint16_t>(fixed, 26);
  const size_t extra_bytes = number_at<uint16_t>(fixed, 28);
  require(number_at<uint32_t>(fixed, 0) == kLocalSign && name_bytes == full_name.size() &&
              fixed.substr(kLocalBytes) == full_name,
          place, ": local header: must name the entry as the directory does, got another");
  const uint64_t header_bytes = kLocalBytes + name_bytes + extra_bytes;
  require(
      extra_bytes <= kMostPadding && header_bytes <= room && central.size <= room - header_bytes,
      place, ": must fit between its offset ", central.offset, " and ", end,
      ", where the next part begins, got ", header_bytes, " and ", central.size, " bytes");
  Header local{number_at<uint16_t>(fixed, 6),  number_at<uint16_t>(fixed, 8),
               number_at<uint32_t>(fixed, 14), number_at<uint32_t>(fixed, 18),
               number_at<uint32_t>(fixed, 22), 0};
  const std::string extra =
      read_bytes(file, central.offset + kLocalBytes + name_bytes, extra_bytes);
  const bool has_descriptor = (local.flags & kHasDescriptor) != 0;
  const bool is_later = has_descriptor && local.crc32 == 0 && local.stored == 0 && local.size == 0;
  const bool agrees = take_zip64_numbers(extra, local) && local.flags == central.flags &&
                      local.method == central.method &&
                      (is_later || (local.crc32 == central.crc32 &&
                                    local.stored == central.stored && local.size == central.size));
  require(agrees, place, ": local header: must agree with the zip's directory, got other values");
  const uint64_t data_end = central.offset + header_bytes + central.size;
  const uint64_t left = end - data_end;
  require(has_descriptor ? left <= 24 && is_descriptor(read_bytes(file, data_end, left), central)
                         : left == 0,
          place, ": must be followed at once by ",
          has_descriptor ? "its data descriptor" : "the next part", " and nothing else, got ", left,
          " bytes of another kind");
  return central.offset + header_bytes;
}

}  // namespace

std::vector<ZipEntry> read_zip_directory(const InputFile& file) {
  const Directory directory = find_directory(file);
  std::vector<CentralEntry> central = read_central_headers(file, directory);
  std::vector<std::string> full_names;
  for (const CentralEntry& entry : central) full_names.push_back(entry.name);
  strip_folder(file, central);
  std::vector<ZipEntry> entries;
  uint64_t begin = 0;
  for (size_t i = 0; i < central.size(); ++i) {
    const Header& header = central[i].header;
    const std::string place = file.path + ": " + central[i].name;
    require(header.offset >= begin && (i > 0 || header.offset == 0), place,
            ": must begin behind the entry before it, at byte ", begin, ", got ", header.offset);
    const uint64_t end = i + 1 < central.size() ? central[i + 1].header.offset : directory.begin;
    require(end > header.offset && end <= directory.begin, place,
            ": must lie before the next entry and the directory, got ", header.offset, " to ", end);
    const uint64_t data = check_local(file, central[i], full_names[i], end);
    entries.push_back({std::move(central[i].name), data, header.size, header.crc32});
    begin = end;
  }
  require(!entries.empty(), file.path, ": zip: must hold entries, got none");
  return entries;
}

}  // namespace radgpt
