// Bad data files JL01 to JL16, JL24 to JL28 and JL34 of the catalogue: those that concern the file
// and its lines. What concerns fields, tasks and splits is tested with the data readers.

#include "libradgpt/formats/jsonl.h"

#include <string>
#include <vector>

#include "tests/base/temporary_folder.h"
#include "tests/formats/refusal.h"

namespace radgpt {
namespace {

const std::string kGood = "{\"text\":\"" + kSecret + "\"}\n";

/// Reads a whole file; gives the numbers of its good lines.
std::vector<int64_t> read_all(JsonlReader& reader) {
  std::vector<int64_t> numbers;
  for (JsonLine line; reader.next(line);) numbers.push_back(line.number);
  return numbers;
}

std::string refusal_of(const std::string& path, int64_t max_bad_lines = 0) {
  return refusal([&] {
    JsonlReader reader(path, max_bad_lines);
    read_all(reader);
  });
}

std::vector<int64_t> good_lines(const std::string& bytes, int64_t max_bad_lines = 0) {
  const TemporaryFolder folder;
  JsonlReader reader(folder.write("x.jsonl", bytes), max_bad_lines);
  return read_all(reader);
}

TEST_CASE("Jsonl: lines come with their number and value") {
  const TemporaryFolder folder;
  JsonlReader reader(folder.write("x.jsonl", "{\"a\": 1}\n{\"a\": \"双肺\"}\n"));
  JsonLine line;
  REQUIRE(reader.next(line));
  CHECK(line.number == 1);
  CHECK(line.value["a"] == 1);
  REQUIRE(reader.next(line));
  CHECK(line.number == 2);
  CHECK(line.value["a"] == "双肺");
  CHECK_FALSE(reader.next(line));
  CHECK(reader.bad_lines().empty());
}

TEST_CASE("Jsonl: what may differ between good files does not matter") {
  CHECK(good_lines("{}\r\n{}\r\n") == std::vector<int64_t>{1, 2});
  CHECK(good_lines("{}\n{}") == std::vector<int64_t>{1, 2});
  CHECK(good_lines("\xEF\xBB\xBF{}\n{}\n") == std::vector<int64_t>{1, 2});
  CHECK(good_lines(" {} \t\n{}\n\n \t\r\n\n") == std::vector<int64_t>{1, 2});
  CHECK(good_lines("{}") == std::vector<int64_t>{1});
}

TEST_CASE("Jsonl: lines that straddle reads stay whole") {
  std::string bytes;
  for (int i = 0; i < 5; ++i) bytes += "{\"a\":\"" + std::string(700'000, 'x') + "\"}\n";
  CHECK(good_lines(bytes).size() == 5);
  CHECK(good_lines("{\"a\":\"" + std::string(15'900'000, 'x') + "\"}\n").size() == 1);
}

TEST_CASE("Jsonl: refuses a file that is no text of lines") {
  const std::vector<BadBytes> rows{
      {"JL02 empty", "", {"at least one JSON object", "empty file"}},
      {"JL03 only blank lines", "\n \n\r\n", {"at least one JSON object", "3 lines"}},
      {"JL08 UTF-16 with mark", std::string("\xFF\xFE{\0}\0\n\0", 8), {"UTF-16"}},
      {"JL08 UTF-16 big-endian", std::string("\xFE\xFF\0{\0}", 6), {"UTF-16"}},
      {"JL08 UTF-16 without mark", std::string("{\0}\0\n\0", 6), {"UTF-16"}},
      {"JL11 CR line ends", "{}\r{}\r", {":1: ", "LF or CRLF", "CR alone"}},
      {"JL13 array over lines", "[\n" + kGood + "]\n", {"JSON array of the whole file"}},
      {"JL13 array in one line", "[{\"a\":\"" + kSecret + "\"}]", {"array of the whole file"}},
      {"JL28 gzip", "\x1F\x8B\x08" + kSecret, {"gzip"}},
      {"zip", "PK\x03\x04" + kSecret, {"zip"}},
  };
  const TemporaryFolder folder;
  for (const BadBytes& row : rows) {
    INFO(row.name);
    const std::string path = folder.write("x.jsonl", row.bytes);
    check_message(refusal_of(path), path, row.said);
    check_message(refusal_of(path, 100), path, row.said);
  }
}

TEST_CASE("Jsonl: refuses a bad line, naming line and column") {
  const std::string gbk = "{\"text\":\"\xCB\xAB\xB7\xCE\xCE\xC6\xC0\xED\"}\n";  // 双肺纹理
  const std::string deep =
      "{\"a\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}\n";
  const std::vector<BadBytes> rows{
      {"JL04 invalid UTF-8 on line 3",
       kGood + kGood + "{\"a\":\"双\xFF\"}\n",
       {":3:8:", "valid UTF-8"}},
      {"JL04 most of it UTF-8, all of it GBK pairs",
       "{\"a\":\"双肺纹\xE7\x90理\"}\n",
       {":1:10:", "valid UTF-8"}},
      {"JL05 overlong UTF-8", kGood + "{\"a\":\"\xC0\xAF\"}\n", {":2:7:", "valid UTF-8"}},
      {"JL06 lone surrogate", kGood + "{\"a\":\"\\uD800" + kSecret + "\"}\n", {":2:", "surrogate"}},
      {"JL07 NUL byte", kGood + std::string("{\"a\":\"\0\"}\n", 10), {":2:7:", "NUL"}},
      {"JL09 GBK", gbk + gbk, {":1: ", "GBK", "UTF-8"}},
      {"JL10 byte-order mark inside", kGood + "\xEF\xBB\xBF" + kGood, {":2:1:", "byte-order mark"}},
      {"JL12 array per line", "[\"" + kSecret + "\"]\n[2]\n", {":1: ", "object", "array of 1"}},
      {"JL14 trailing comma", kGood + "{\"a\":1,}\n", {":2:8:", "valid JSON"}},
      {"JL15 two objects on a line", "{} {}\n", {":1:4:", "valid JSON"}},
      {"JL16 key twice", kGood + "{\"a\":1,\"a\":2}\n", {":2:8:", "repeat a key"}},
      {"JL24 NaN", kGood + "{\"a\":NaN}\n", {":2:6:", "valid JSON"}},
      {"JL26 nested deeply", kGood + deep, {":2:21:", "at most 16 levels"}},
      {"JL27 last line cut", kGood + "{\"text\":\"" + kSecret, {":2: ", "truncated", "19 bytes"}},
      {"JL27 cut in a character", kGood + "{\"a\":\"肺\xE8\x82", {":2: ", "truncated"}},
      {"a CR inside", kGood + "{}\r{}\n", {":2: ", "CR inside"}},
      {"a blank line inside", kGood + "\n" + kGood, {":2: ", "blank before the end"}},
      {"a string alone", "\"" + kSecret + "\"\n", {":1: ", "object", "string of 10 bytes"}},
  };
  const TemporaryFolder folder;
  for (const BadBytes& row : rows) {
    INFO(row.name);
    const std::string path = folder.write("x.jsonl", row.bytes);
    check_message(refusal_of(path), path, row.said);
  }
}

TEST_CASE("Jsonl: refuses a line of 1 GB without reading it whole") {  // JL25
  const TemporaryFolder folder;
  const std::string path = folder.write("x.jsonl", kGood + "{\"a\":\"");
  std::filesystem::resize_file(path, 1'000'000'000);  // a hole: takes no space
  check_message(refusal_of(path), path, {":2: ", "at most 16000000 bytes"});
}

TEST_CASE("Jsonl: refuses what is no readable file") {
  const TemporaryFolder folder;
  check_message(refusal_of(folder.file("none")), folder.file("none"), {"no such file"});  // JL01
  check_message(refusal_of(folder.path()), folder.path(), {"must be a file"});
  std::filesystem::create_symlink("loop", folder.file("loop"));
  check_message(refusal_of(folder.file("loop")), folder.file("loop"), {"in a circle"});  // JL34
}

TEST_CASE("Jsonl: bad lines up to the limit are kept with their reason") {
  const TemporaryFolder folder;
  const std::string long_line = "{\"a\":\"" + std::string(17'000'000, 'x') + "\"}\n";
  const std::string path = folder.write(
      "x.jsonl", kGood + "\n" + kGood + long_line + kGood + "[1]\n" + kGood + "{\"text\":");
  JsonlReader reader(path, 4);
  CHECK(read_all(reader) == std::vector<int64_t>{1, 3, 5, 7});
  REQUIRE(reader.bad_lines().size() == 4);
  const std::vector<int64_t> numbers{2, 4, 6, 8};
  for (size_t i = 0; i < numbers.size(); ++i) {
    CHECK(reader.bad_lines()[i].number == numbers[i]);
    check_message(reader.bad_lines()[i].reason, path, {":" + std::to_string(numbers[i]) + ": "});
  }
  check_message(refusal_of(path, 3), path, {":8: ", "truncated", "number 4, at most 3"});
}

TEST_CASE("Jsonl: a file of nothing but bad lines is refused whatever the limit") {
  const TemporaryFolder folder;
  const std::string path = folder.write("x.jsonl", "[1]\n[2]\n");
  check_message(refusal_of(path, 100), path, {"at least one JSON object", "2 lines"});
}

TEST_CASE("Jsonl: a file whose every line the caller rejects is refused") {
  const TemporaryFolder folder;
  const std::string path = folder.write("x.jsonl", kGood);
  JsonlReader reader(path, 100);
  JsonLine line;
  REQUIRE(reader.next(line));
  reader.reject(path + ":1: field: must be there");
  check_message(refusal([&] { reader.next(line); }), path, {"at least one JSON object"});
}

TEST_CASE("Jsonl: a caller's own faults count against the same limit") {
  const TemporaryFolder folder;
  const std::string path = folder.write("x.jsonl", kGood + "[1]\n" + kGood + kGood);
  JsonlReader reader(path, 2);
  JsonLine line;
  REQUIRE(reader.next(line));
  reader.reject(path + ":1: field: must be there");
  REQUIRE(reader.next(line));
  CHECK(line.number == 3);
  CHECK(reader.bad_lines().size() == 2);
  CHECK(refusal([&] { reader.reject(path + ":3: field: must be there"); }) ==
        path + ":3: field: must be there (bad line number 3, at most 2 are allowed)");
}

}  // namespace
}  // namespace radgpt
