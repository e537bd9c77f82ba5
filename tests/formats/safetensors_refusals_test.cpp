// Bad safetensors files ST01 to ST57 of the catalogue; ST58 to ST62 are in weight_folder_test.cpp.

#include <sys/stat.h>

#include <cstring>
#include <string>
#include <vector>

#include "libradgpt/formats/safetensors.h"
#include "tests/base/temporary_folder.h"
#include "tests/base/without_privileges.h"
#include "tests/formats/refusal.h"
#include "tests/formats/safetensors_bytes.h"

namespace radgpt {
namespace {

const std::string kData(24, 'd');

std::string length_field(uint64_t length) {
  std::string bytes(sizeof length, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  return bytes;
}

std::string with_header(const std::string& header) { return safetensors_bytes(header, kData); }

/// A file of one tensor "w" that would be right as F32 [2,3] at [0,24].
std::string with_tensor(const std::string& type, const std::string& shape,
                        const std::string& offsets) {
  return with_header("{" + header_entry("w", type, shape, offsets) + "}");
}

std::string with_entry(const std::string& members) {
  return with_header("{\"w\":{" + members + "}}");
}

std::string with_name(const std::string& name) {
  return with_header("{" + header_entry(name, "F32", "[2,3]", "[0,24]") + "}");
}

std::string million_tensors() {
  std::string header = "{";
  for (int i = 0; i < 1'000'000; ++i) {
    header += header_entry("t" + std::to_string(i), "F32", "[0]", "[0,0]") + ",";
  }
  header.back() = '}';
  return safetensors_bytes(header, "");
}

void check_refused(const std::vector<BadBytes>& rows) {
  const TemporaryFolder folder;
  for (const BadBytes& row : rows) {
    INFO(row.name);
    const std::string path = folder.write("bad.safetensors", row.bytes);
    check_message(refusal([&] { SafetensorsFile file(path); }), path, row.said);
  }
}

TEST_CASE("Safetensors: refuses a length that the file does not have") {
  const std::string short_file = kData;
  check_refused({
      {"ST01 empty file", "", {"header", "8 bytes", "file of 0"}},
      {"ST02 7 bytes", "1234567", {"header", "8 bytes", "file of 7"}},
      {"ST03 N = 0", length_field(0), {"header", "[2, 100000000]", "got 0"}},
      {"ST04 N = 1", length_field(1) + "{", {"header", "[2, 100000000]", "got 1"}},
      {"ST05 N > file", length_field(25) + kData, {"header", "32 bytes", "length of 25"}},
      {"ST06 N = 100,000,001", length_field(100'000'001) + kData, {"header", "got 100000001"}},
      {"ST07 N = 2^64-1", length_field(UINT64_MAX) + kData, {"got 18446744073709551615"}},
      {"ST08 N = 2^64-8", length_field(UINT64_MAX - 7) + kData, {"got 18446744073709551608"}},
      {"ST09 N = 2^63", length_field(uint64_t{1} << 63) + kData, {"got 9223372036854775808"}},
  });
}

TEST_CASE("Safetensors: refuses a header that is not strict JSON") {
  const std::string good = header_entry("w", "F32", "[2,3]", "[0,24]");
  const std::string after = "header:1:" + std::to_string(good.size() + 2);  // of "{" and good
  const std::string behind = "header:1:" + std::to_string(good.size() + 3);
  check_refused({
      {"ST10 not UTF-8", with_header("{\"\xFF" + kSecret + "\":1}"), {"header:1:3", "valid UTF-8"}},
      {"ST11 not JSON", with_header("{" + kSecret + "}"), {"header:1:2", "valid JSON"}},
      {"ST12 array", with_header("[" + good + "]"), {"header", "must start with '{'"}},
      {"ST13 starts with space", with_header(" {" + good + "}"), {"must start with '{'"}},
      {"ST14 trailing garbage", with_header("{" + good + "}" + kSecret), {"must end with '}'"}},
      {"ST14 second object", with_header("{" + good + "}{}"), {behind, "valid JSON"}},
      {"ST15 nested deeply",
       with_header("{\"w\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}"),
       {"header:1:8", "nested at most 3"}},
      {"ST16 NUL", with_header("{" + good + std::string(1, '\0') + "}"), {after, "NUL"}},
      {"ST17 name twice", with_header("{" + good + "," + good + "}"), {behind, "repeat a key"}},
      {"ST18 dtype twice",
       with_entry("\"dtype\":\"F32\",\"dtype\":\"F32\""),
       {"header:1:21", "repeat a key"}},
      {"ST19 metadata of numbers",
       with_header("{\"__metadata__\":{\"" + kSecret + "\":1}}"),
       {"__metadata__", "must be a string", "got an integer"}},
      {"ST20 metadata array",
       with_header("{\"__metadata__\":[\"" + kSecret + "\"]}"),
       {"__metadata__", "object of strings", "got an array of 1 value"}},
      {"ST21 empty name", with_name(""), {"1 to 512 bytes", "got 0"}},
      {"ST22 NUL in a name", with_name(kSecret + "\\u0000"), {"without control characters"}},
      {"ST23 name of 10 kB", with_name(repeated(kSecret, 1000)), {"512 bytes", "got 10000"}},
      {"ST24 a million tensors", million_tensors(), {"at most 1500000 JSON values"}},
  });
}

TEST_CASE("Safetensors: refuses a tensor whose type or shape is wrong") {
  const std::string shape = "\"shape\":[2,3]";
  const std::string dtype = "\"dtype\":\"F32\"";
  const std::string offsets = "\"data_offsets\":[0,24]";
  const std::string integers = "array of integers in [0, 2^63)";
  const std::string ones = "1" + repeated(",1", 64);
  check_refused({
      {"ST25 no dtype", with_entry(shape + "," + offsets), {"w.dtype", "is missing"}},
      {"ST26 unknown dtype", with_tensor(kSecret, "[2,3]", "[0,24]"), {"w.dtype", "BF16, F16"}},
      {"ST27 dtype in lower case", with_tensor("f32", "[2,3]", "[0,24]"), {"w.dtype", "F32"}},
      {"ST28 no shape", with_entry(dtype + "," + offsets), {"w.shape", "is missing"}},
      {"ST29 shape negative", with_tensor("F32", "[-2,-3]", "[0,24]"), {"w.shape", integers}},
      {"ST30 shape float", with_tensor("F32", "[2.0,3]", "[0,24]"), {"w.shape", integers}},
      {"ST31 shape string",
       with_tensor("F32", "[\"" + kSecret + "\"]", "[0,24]"),
       {"w.shape", integers}},
      {"ST31 shape is no array",
       with_tensor("F32", "\"" + kSecret + "\"", "[0,24]"),
       {"w.shape", "an array", "a string of 10 bytes"}},
      {"ST32 shape 2^63",
       with_tensor("F32", "[9223372036854775808]", "[0,24]"),
       {"w.shape", integers}},
      {"ST33 product wraps to 0",
       with_tensor("F32", "[4294967296,4294967296]", "[0,0]"),
       {"w.shape", "fewer than 2^63 bytes"}},
      {"ST33 wraps before a 0",
       with_tensor("F32", "[4294967296,4294967296,0]", "[0,0]"),
       {"w.shape", "fewer than 2^63 bytes"}},
      {"ST34 product wraps to 24",
       with_tensor("F32", "[4611686018427387910]", "[0,24]"),
       {"w.shape", "fewer than 2^63 bytes"}},
      {"ST35 rank 65",
       with_tensor("F32", "[" + ones + "]", "[0,4]"),
       {"w.shape", "at most 8", "got 65"}},
      {"ST50 sub-byte type", with_tensor("F4", "[1]", "[0,1]"), {"w.dtype", "BF16, F16"}},
      {"an unknown key",
       with_entry(dtype + "," + shape + "," + offsets + ",\"x\":1"),
       {"w", "got 4 keys"}},
      {"an entry that is no object",
       with_header("{\"w\":\"" + kSecret + "\"}"),
       {"w", "a JSON object", "a string of 10 bytes"}},
  });
}

TEST_CASE("Safetensors: refuses offsets that do not tile the data") {
  const auto two = [](const std::string& first, const std::string& second) {
    return with_header("{" + header_entry("a", "F32", "[3]", first) + "," +
                       header_entry("b", "F32", "[3]", second) + "}");
  };
  const std::string integers = "array of integers in [0, 2^63)";
  check_refused({
      {"ST36 no offsets",
       with_entry("\"dtype\":\"F32\",\"shape\":[2,3]"),
       {"w.data_offsets", "is missing"}},
      {"ST37 one offset", with_tensor("F32", "[2,3]", "[0]"), {"w.data_offsets", "got 1"}},
      {"ST38 three", with_tensor("F32", "[2,3]", "[0,24,24]"), {"w.data_offsets", "got 3"}},
      {"ST39 negative", with_tensor("F32", "[2,3]", "[-24,0]"), {"w.data_offsets", integers}},
      {"ST40 begin > end", with_tensor("F32", "[2,3]", "[24,0]"), {"w.data_offsets", "[24, 0]"}},
      {"ST41 end > data",
       with_tensor("F32", "[2,4]", "[0,32]"),
       {"w.data_offsets", "24 data bytes", "got 32"}},
      {"ST42 end 2^64-1",
       with_tensor("F32", "[2,3]", "[0,18446744073709551615]"),
       {"w.data_offsets", integers}},
      {"ST43 span too short",
       with_tensor("F32", "[2,3]", "[0,20]"),
       {"w.data_offsets", "span 24 bytes", "got 20"}},
      {"ST44 span too long",
       with_tensor("F32", "[2,2]", "[0,24]"),
       {"w.data_offsets", "span 16 bytes", "got 24"}},
      {"ST45 overlap", two("[0,12]", "[8,20]"), {"b.data_offsets", "begin at 12", "got 8"}},
      {"ST45 the same bytes", two("[0,12]", "[0,12]"), {"b.data_offsets", "begin at 12", "got 0"}},
      {"ST46 hole",
       with_header("{" + header_entry("a", "F32", "[2]", "[0,8]") + "," +
                   header_entry("b", "F32", "[3]", "[12,24]") + "}"),
       {"b.data_offsets", "begin at 8", "got 12"}},
      {"ST47 first offset", with_tensor("F32", "[5]", "[4,24]"), {"w.data_offsets", "begin at 0"}},
      {"ST48 trailing bytes", with_tensor("F32", "[5]", "[0,20]"), {"data", "byte 20", "got 24"}},
      {"ST49 2 bytes missing",
       with_tensor("F32", "[2,3]", "[0,24]").substr(0, 81),
       {"w.data_offsets", "cut short"}},
  });
}

TEST_CASE("Safetensors: says what kind of file it got instead") {
  check_refused({
      {"ST55 zip", "PK\x03\x04" + kSecret, {"header", "file of torch.save"}},
      {"ST55 pickle", "\x80\x02}q" + kSecret, {"header", "before 1.6"}},
      {"ST56 git-lfs pointer",
       "version https://git-lfs.github.com/spec/v1\noid " + kSecret,
       {"header", "git-lfs pointer"}},
      {"ST57 HTML page", "<!DOCTYPE html><title>" + kSecret, {"header", "web page"}},
  });
}

TEST_CASE("Safetensors: refuses what is no readable file") {
  const TemporaryFolder folder;
  const auto said = [](const std::string& path) {
    return refusal([&] { SafetensorsFile file(path); });
  };
  check_message(said(folder.path()), folder.path(), {"must be a file", "got a folder"});  // ST51
  const std::string fifo = folder.file("fifo");
  mkfifo(fifo.c_str(), 0600);
  check_message(said(fifo), fifo, {"must be a regular file"});  // ST52
  const std::string closed = folder.write("closed", with_tensor("F32", "[2,3]", "[0,24]"));
  chmod(closed.c_str(), 0);
  const WithoutPrivileges guard;
  check_message(said(closed), closed, {"no permission"});  // ST53
}

TEST_CASE("Safetensors: refuses a file that is cut short while it is open") {  // ST54
  const TemporaryFolder folder;
  const std::string path = folder.write("x", with_tensor("F32", "[2,3]", "[0,24]"));
  const SafetensorsFile file(path);
  std::filesystem::resize_file(path, 70);
  std::vector<std::byte> bytes(24);
  check_message(refusal([&] { file.read(file.tensors()[0], bytes); }), path,
                {"ends at byte 70", "when it was opened"});
}

}  // namespace
}  // namespace radgpt
