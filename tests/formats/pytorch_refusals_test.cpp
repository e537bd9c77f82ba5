// Bad files of torch.save: PB01 to PB19, the archive, and PB42 to PB56, the tensors. PB20 to PB41,
// the pickle, are in pickle_test.cpp.

#include <string>
#include <vector>

#include "libradgpt/formats/pytorch_file.h"
#include "tests/base/temporary_folder.h"
#include "tests/formats/pickle_bytes.h"
#include "tests/formats/refusal.h"
#include "tests/formats/safetensors_bytes.h"

namespace radgpt {
namespace {

const std::string kFloats(24, 'f');
const std::string kPickle = dict_pickle({{"w", float_tensor_op("0", {2, 3})}});

/// Indices of pytorch_parts of one record.
enum Part : size_t { kDataPkl, kByteOrder, kRecord, kVersion };

std::vector<ZipPart> good_parts() { return pytorch_parts(kPickle, {kFloats}); }

/// The right file with one part changed.
template <typename Change>
std::string with_part(size_t part, const Change& change) {
  std::vector<ZipPart> parts = good_parts();
  change(parts[part]);
  return zip_bytes(parts);
}

std::string with_more(const ZipPart& part) {
  std::vector<ZipPart> parts = good_parts();
  parts.push_back(part);
  return zip_bytes(parts);
}

/// The right file with the bytes behind the n-th `signature` from `offset` on replaced.
std::string patched(const std::string& signature, size_t offset, const std::string& bytes) {
  std::string file = zip_bytes(good_parts());
  file.replace(file.find(signature) + offset, bytes.size(), bytes);
  return file;
}

std::string with_tensor(const std::string& value) {
  return pytorch_bytes(dict_pickle({{"w", value}}), {kFloats});
}

void check_refused(const std::vector<BadBytes>& rows) {
  const TemporaryFolder folder;
  for (const BadBytes& row : rows) {
    INFO(row.name);
    const std::string path = folder.write("bad.bin", row.bytes);
    check_message(refusal([&] {
                    const PytorchFile file(path);
                    for (const TensorInfo& tensor : file.tensors()) {
                      std::vector<std::byte> bytes(tensor.bytes());
                      file.read(tensor, bytes);
                    }
                  }),
                  path, row.said);
  }
}

TEST_CASE("PyTorch file: says what kind of file it got instead") {
  const std::string legacy = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M";
  check_refused({
      {"PB01 empty", "", {"must be a zip", "got 0 bytes"}},
      {"PB02 not a zip", kSecret + kSecret, {"must be a zip", "another kind"}},
      {"PB03 legacy pickle", legacy + kSecret, {"before 1.6", "save it again"}},
      {"PB03 legacy tar", "pickle" + std::string(600, '\0'), {"must be a zip"}},
      {"PB04 TorchScript",
       with_more({.name = "archive/code/__torch__.py", .bytes = kSecret}),
       {"code/__torch__.py", "TorchScript", "state_dict"}},
      {"PB04 TorchScript's constants",
       with_more({.name = "archive/constants.pkl", .bytes = kSecret}),
       {"constants.pkl", "TorchScript"}},
      {"safetensors",
       safetensors_bytes("{" + header_entry("w", "F32", "[6]", "[0,24]") + "}", kFloats),
       {"must be a zip", "safetensors file"}},
      {"git-lfs pointer", "version https://git-lfs.github.com/spec/v1", {"git-lfs pointer"}},
      {"web page", "<!DOCTYPE html><title>" + kSecret, {"web page"}},
  });
}

TEST_CASE("PyTorch file: refuses a zip whose end or directory is not whole") {
  const std::string good = zip_bytes(good_parts());
  const std::string locator = "PK\x06\x07";
  const std::string end64 = "PK\x06\x06";
  const std::string end = "PK\x05\x06";
  check_refused({
      {"PB05 end cut off", good.substr(0, good.size() - 4), {"must end with", "cut short"}},
      {"PB05 only a beginning", good.substr(0, 21), {"at least 22 bytes", "got 21"}},
      {"PB05 cut in the data", good.substr(0, good.size() / 2), {"must end with", "cut short"}},
      {"PB06 comment", good + kSecret, {"must end with", "without comment"}},
      {"PB06 comment announced", patched(end, 20, little_endian(uint16_t{1})), {"without comment"}},
      {"PB10 Zip64 end elsewhere", patched(locator, 8, little_endian(uint64_t{7})), {"Zip64 end"}},
      {"PB10 Zip64 end longer", patched(end64, 4, little_endian(uint64_t{45})), {"Zip64 end"}},
      {"PB10 Zip64 size lies", patched(end64, 40, little_endian(uint64_t{46})), {"ends", "agree"}},
      {"PB10 Zip64 count lies", patched(end64, 32, little_endian(uint64_t{5})), {"one disk"}},
      {"PB10 both sizes lie",
       [&] {
         std::string file = patched(end64, 40, little_endian(~uint64_t{0}));
         return file.replace(file.rfind(end) + 12, 4, "\xFF\xFF\xFF\xFF");
       }(),
       {"directory must end at byte"}},
      {"one of several disks", patched(end, 4, little_endian(uint16_t{1})), {"one disk"}},
      {"of several disks, by Zip64",
       patched(locator, 16, little_endian(uint32_t{2})),
       {"one disk"}},
      {"fewer entries", patched(end, 8, little_endian(uint16_t{3}, uint16_t{3})), {"agree"}},
      {"no entries", zip_bytes({}), {"must be a zip"}},
  });
}

TEST_CASE("PyTorch file: refuses entries that are not stored as torch.save stores them") {
  const auto flagged = [](uint16_t flags) {
    return with_part(kRecord, [=](ZipPart& part) { part.flags = flags; });
  };
  const auto name = [](const std::string& text) {
    return with_part(kRecord, [=](ZipPart& part) { part.name = text; });
  };
  const std::string central = "PK\x01\x02";
  check_refused({
      {"PB08 deflated",
       with_part(kRecord, [](ZipPart& part) { part.method = 8; }),
       {"data/0", "without compression", "method 8"}},
      {"PB09 encrypted", flagged(0x0809), {"data/0", "encrypted"}},
      {"strongly encrypted", flagged(0x0848), {"data/0", "no zip flags"}},
      {"PB11 other local name",
       with_part(kRecord, [](ZipPart& part) { part.local_name = "archive/data/1"; }),
       {"data/0", "local header"}},
      {"PB11 other local method",
       patched("PK\x03\x04", 8, little_endian(uint16_t{8})),
       {"data.pkl", "local header", "agree"}},
      {"PB11 other local sum",
       patched("PK\x03\x04", 14, little_endian(uint32_t{8})),
       {"data.pkl", "local header", "agree"}},
      {"PB11 other sum behind",
       patched("PK\x07\x08", 4, little_endian(uint32_t{8})),
       {"data.pkl", "data descriptor"}},
      {"PB11 other size behind",
       patched("PK\x07\x08", 8, little_endian(uint32_t{8})),
       {"data.pkl", "data descriptor"}},
      {"PB11 no local header",
       [] {
         std::string file = zip_bytes(good_parts());
         return file.replace(file.rfind("PK\x03\x04"), 4, "PK\x03\x05");
       }(),
       {"version", "local header"}},
      {"PB12 twice",
       with_more({.name = "archive/data/0", .bytes = kFloats}),
       {"data/0", "must be there once"}},
      {"PB13 ../", name("archive/../x"), {"entry 2", "name", "inside the archive's folder"}},
      {"PB13 absolute", name("/etc/passwd"), {"entry 2", "inside the archive's folder"}},
      {"PB13 backslash", name("archive\\0"), {"entry 2", "inside the archive's folder"}},
      {"PB13 drive", name("C:/x"), {"entry 2", "inside the archive's folder"}},
      {"PB13 NUL",
       name(std::string("archive/\0"
                        "0",
                        10)),
       {"entry 2", "inside the archive's"}},
      {"PB13 another folder", name("other/data/0"), {"other/data/0", "one top folder"}},
      {"PB13 no folder", name("data.pkl"), {"data.pkl", "one top folder"}},
      {"name not UTF-8", name("archive/\xFF"), {"entry 2", "inside the archive's folder"}},
      {"name of 600 bytes", name("archive/" + std::string(600, 'x')), {"608 bytes"}},
      {"attributes of a folder",
       patched(central, 38, little_endian(uint32_t{16})),
       {"entry 0", "attributes"}},
      {"comment", patched(central, 32, little_endian(uint16_t{1})), {"entry 0", "no comment"}},
      {"on another disk", patched(central, 34, little_endian(uint16_t{1})), {"one disk"}},
  });
}

TEST_CASE("PyTorch file: refuses entries that do not tile the file") {
  const std::string good = zip_bytes(good_parts());
  const auto claimed = [](uint64_t size, bool is_zip64) {
    return with_part(kRecord, [=](ZipPart& part) {
      part.size = size;
      part.is_zip64 = is_zip64;
    });
  };
  check_refused({
      {"PB07 bytes before it", "PK\x03\x04" + kSecret + good, {"zip", "end must be at byte"}},
      {"PB07 bytes before it, counted",
       [&] {
         std::vector<ZipPart> parts = good_parts();
         std::string bytes = zip_bytes(parts);
         const std::string junk = zip_local_header(parts[0], 0);
         std::string directory, data = junk;
         for (const ZipPart& part : parts) {
           directory += zip_central_header(part, data.size());
           data += zip_local_header(part, data.size()) + part.bytes + zip_descriptor(part);
         }
         return data + directory + zip_end(parts.size(), directory.size(), data.size());
       }(),
       {"data.pkl", "must begin", "byte 0"}},
      {"PB10 size lies", claimed(1000, false), {"data/0", "must fit"}},
      {"PB10 Zip64 size lies", claimed(uint64_t{1} << 40, true), {"data/0", "must fit"}},
      {"PB10 Zip64 size wraps", claimed(~uint64_t{0} - 20, true), {"data/0", "must fit"}},
      {"PB10 shorter", claimed(20, false), {"data/0", "data descriptor"}},
      {"PB10 Zip64 field missing", claimed(0xFFFFFFFF, false), {"data/0", "Zip64 sizes"}},
      {"PB14 overlap",
       with_part(kByteOrder, [](ZipPart& part) { part.offset = 10; }),
       {"data.pkl", "local header"}},
      {"PB14 the same place",
       with_part(kByteOrder, [](ZipPart& part) { part.offset = 0; }),
       {"data.pkl", "before the next entry"}},
      {"PB14 order",
       with_part(kVersion, [](ZipPart& part) { part.offset = 50; }),
       {"data/0", "before the next entry"}},
      {"offset behind the file",
       with_part(kVersion, [](ZipPart& part) { part.offset = 1 << 30; }),
       {"data/0", "before the next entry and the directory"}},
      {"gap without a descriptor",
       with_part(kRecord,
                 [](ZipPart& part) {
                   part.flags = 0x0800;
                   part.behind = kSecret;
                 }),
       {"data/0", "the next part", "nothing else", "got 10 bytes"}},
      {"gap",
       with_part(kRecord, [](ZipPart& part) { part.behind = kSecret; }),
       {"data/0", "nothing else"}},
      {"padding of 5000 bytes",
       with_part(kRecord,
                 [](ZipPart& part) {
                   part.padding = "FB" + little_endian(uint16_t{4996}) + std::string(4996, 'Z');
                 }),
       {"data/0", "must fit"}},
  });
}

TEST_CASE("PyTorch file: refuses what was damaged, and what torch.save does not write") {
  const auto bytes_of_part = [](Part part, const std::string& bytes) {
    return with_part(part, [&](ZipPart& changed) { changed.bytes = bytes; });
  };
  const auto renamed = [](Part part, const std::string& name) {
    return with_part(part, [&](ZipPart& changed) { changed.name = name; });
  };
  std::string flipped = zip_bytes(good_parts());
  flipped[flipped.find(kFloats) + 7] ^= 1;
  check_refused({
      {"PB15 bad CRC",
       with_part(kRecord, [](ZipPart& part) { part.crc32 = 1; }),
       {"data/0", "CRC-32", "damaged"}},
      {"PB15 a weight's bit flipped", flipped, {"data/0", "CRC-32", "damaged"}},
      {"PB15 pickle",
       with_part(kDataPkl, [](ZipPart& part) { part.crc32 = 1; }),
       {"data.pkl", "CRC-32"}},
      {"PB16 no data.pkl", renamed(kDataPkl, "archive/data.pickle"), {"data.pkl", "is missing"}},
      {"PB17 two data.pkl",
       with_more({.name = "archive/data.pkl", .bytes = kPickle}),
       {"data.pkl", "must be there once"}},
      {"PB17 another data.pkl",
       with_more({.name = "archive/more/data.pkl", .bytes = kPickle}),
       {"more/data.pkl", "of use to a tensor"}},
      {"PB18 big-endian", bytes_of_part(kByteOrder, "big"), {"byteorder", "must be little"}},
      {"PB19 version 4", bytes_of_part(kVersion, "4\n"), {"version", "must be 3"}},
      {"PB19 no version", renamed(kVersion, "archive/.version"), {"version", "is missing"}},
      {"PB19 long version", bytes_of_part(kVersion, std::string(65, '3')), {"version", "64"}},
      {"a storage nobody needs",
       with_more({.name = "archive/data/1", .bytes = kSecret}),
       {"data/1", "of use to a tensor"}},
      {"a note that is no text",
       with_more({.name = "archive/.note", .bytes = "\x01"}),
       {".note", "plain text"}},
  });
}

TEST_CASE("PyTorch file: refuses tensors that do not fit their storage") {
  const auto floats = [](int64_t elements) { return storage_op("FloatStorage", "0", elements); };
  const auto view = [&](int64_t offset, const std::vector<int64_t>& shape,
                        const std::vector<int64_t>& strides) {
    return with_tensor(tensor_op(floats(6), offset, shape, strides));
  };
  const int64_t large = int64_t{1} << 40;
  const std::vector<int64_t> nine(9, 1);
  check_refused({
      {"PB44 key missing", with_tensor(float_tensor_op("1", {6})), {"w", "data/1", "is missing"}},
      {"PB45 key ../0", with_tensor(float_tensor_op("../0", {6})), {"w", "storage", "a number"}},
      {"PB45 empty key", with_tensor(float_tensor_op("", {6})), {"w", "storage", "a number"}},
      {"PB46 numel too small",
       with_tensor(tensor_op(floats(5), 0, {5}, {1})),
       {"w: storage", "24 bytes", "5 elements of F32"}},
      {"PB46 numel too large",
       with_tensor(tensor_op(floats(7), 0, {6}, {1})),
       {"w: storage", "24 bytes", "7 elements of F32"}},
      {"PB46 another type",
       with_tensor(tensor_op(storage_op("HalfStorage", "0", 6), 0, {6}, {1})),
       {"w: storage", "24 bytes", "6 elements of F16"}},
      {"PB46 numel that wraps",
       with_tensor(tensor_op(floats(int64_t{1} << 62), 0, {6}, {1})),
       {"w: storage", "24 bytes"}},
      {"PB47 numel negative",
       with_tensor(tensor_op(floats(-6), 0, {6}, {1})),
       {"data.pkl: byte", "no negative", "-6"}},
      {"PB48 offset past the end", view(1, {6}, {1}), {"w: strides", "6 elements", "offset 1"}},
      {"PB48 offset far past it", view(large, {1}, {1}), {"w: offset", "6 elements"}},
      {"PB48 of an empty tensor", view(7, {0}, {1}), {"w: offset", "got 7"}},
      {"PB48 offset negative", view(-1, {2}, {1}), {"w: offset", "got -1"}},
      {"PB49 stride past the end", view(0, {2, 3}, {4, 1}), {"w: strides", "[4, 1]"}},
      {"PB49 stride that wraps", view(0, {3}, {int64_t{1} << 62}), {"w: strides"}},
      {"PB50 negative stride", view(5, {6}, {-1}), {"w: strides", "negative", "[-1]"}},
      {"PB51 size overflow", view(0, {large, large}, {0, 0}), {"w: shape", "2^63 bytes"}},
      {"PB51 size overflow before a 0", view(0, {large, large, 0}, {0, 0, 0}), {"w: shape"}},
      {"PB51 a small file of a huge view", view(0, {large}, {0}), {"w", "64 times the file"}},
      {"shape negative", view(0, {-2}, {1}), {"w: shape", "negative", "[-2]"}},
      {"nine dimensions", view(0, nine, nine), {"w: shape", "at most 8", "got 9"}},
      {"strides of another rank", view(0, {2, 3}, {1}), {"w: strides", "must be 2", "got 1"}},
      {"two types in a storage",
       pytorch_bytes(dict_pickle({{"w", tensor_op(storage_op("HalfStorage", "0", 12), 0, {2}, {1})},
                                  {"v", float_tensor_op("0", {6})}}),
                     {kFloats}),
       {"v", "type of the others", "F16", "got F32"}},
      {"PB53 name twice",
       pytorch_bytes(
           dict_pickle({{"w", float_tensor_op("0", {6})}, {"w", float_tensor_op("0", {6})}}),
           {kFloats}),
       {"data.pkl: w", "must be there once"}},
      {"PB55 value not a tensor",
       with_tensor(string_op(kSecret)),
       {"data.pkl: w", "must be a tensor", "got a string"}},
      {"PB55 a dict in the dict",
       with_tensor("}"),
       {"data.pkl: w", "must be a tensor, got a dict"}},
      {"empty name",
       pytorch_bytes(dict_pickle({{"", float_tensor_op("0", {6})}}), {kFloats}),
       {"data.pkl", "1 to 512 bytes"}},
  });
}

TEST_CASE("PyTorch file: a device that is not here does not matter") {  // PB56
  const TemporaryFolder folder;
  const std::string storage = storage_op("FloatStorage", "0", 6, "cuda:99");
  const PytorchFile file(folder.write("x.bin", with_tensor(tensor_op(storage, 0, {6}, {1}))));
  CHECK(file.find("w")->shape == Shape{6});
}

TEST_CASE("PyTorch file: refuses a file that is cut short while it is open") {
  const TemporaryFolder folder;
  const std::string path = folder.write("x.bin", zip_bytes(good_parts()));
  const PytorchFile file(path);
  std::filesystem::resize_file(path, 330);
  std::vector<std::byte> bytes(24);
  check_message(refusal([&] { file.read(*file.find("w"), bytes); }), path,
                {"ends at byte 330", "when it was opened"});
}

}  // namespace
}  // namespace radgpt
