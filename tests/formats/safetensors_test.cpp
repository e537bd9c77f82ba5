#include "libradgpt/formats/safetensors.h"

#include <array>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "libradgpt/base/error.h"
#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "tests/formats/safetensors_bytes.h"

namespace radgpt {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string read_tensor(const SafetensorsFile& file, const std::string& name) {
  const TensorInfo* tensor = file.find(name);
  REQUIRE(tensor != nullptr);
  std::string bytes(tensor->bytes(), '\0');
  file.read(*tensor, std::as_writable_bytes(std::span(bytes.data(), bytes.size())));
  return bytes;
}

TEST_CASE("Safetensors: a file written by hand is read") {
  const TemporaryFolder folder;
  const std::string header = "{\"__metadata__\":{\"format\":\"pt\"}," +
                             header_entry("b", "F32", "[2,1]", "[4,12]") + "," +
                             header_entry("a", "BF16", "[2]", "[0,4]") + "}   ";
  const SafetensorsFile file(folder.write("x", safetensors_bytes(header, "aaaabbbbBBBB")));
  REQUIRE(file.tensors().size() == 2);
  CHECK(file.tensors()[0].name == "a");
  CHECK(file.tensors()[0].dtype == DataType::kBF16);
  CHECK(file.tensors()[1].shape == Shape{2, 1});
  CHECK(read_tensor(file, "a") == "aaaa");
  CHECK(read_tensor(file, "b") == "bbbbBBBB");
  CHECK(file.find("c") == nullptr);
  CHECK(file.metadata().at("format") == "pt");
}

TEST_CASE("Safetensors: scalars, empty tensors and empty files are read") {
  const TemporaryFolder folder;
  const std::string header = "{" + header_entry("none", "F64", "[3,0]", "[0,0]") + "," +
                             header_entry("scalar", "I64", "[]", "[0,8]") + "," +
                             header_entry("end", "U8", "[0]", "[8,8]") + "}";
  const SafetensorsFile file(folder.write("x", safetensors_bytes(header, "12345678")));
  CHECK(file.find("none")->bytes() == 0);
  CHECK(read_tensor(file, "scalar") == "12345678");
  CHECK(SafetensorsFile(folder.write("y", safetensors_bytes("{}", ""))).tensors().empty());
}

TEST_CASE("Safetensors: a part of a tensor is read, and nothing beyond it") {
  const TemporaryFolder folder;
  const std::string header = "{" + header_entry("a", "U8", "[4]", "[0,4]") + "," +
                             header_entry("b", "U8", "[2]", "[4,6]") + "}";
  const SafetensorsFile file(folder.write("x", safetensors_bytes(header, "012345")));
  std::array<std::byte, 2> two{};
  file.read(*file.find("a"), two, 2);
  CHECK(two == std::array{std::byte{'2'}, std::byte{'3'}});
  CHECK_THROWS_AS(file.read(*file.find("a"), two, 3), Error);
  CHECK_THROWS_AS(file.read(*file.find("a"), two, UINT64_MAX), Error);
}

TEST_CASE("Safetensors: what is written is read back, in the given order") {
  const TemporaryFolder folder;
  const std::vector<TensorBytes> tensors{
      {{"z", DataType::kBF16, {3}}, bytes_of("zZzZzZ")},
      {{"层", DataType::kF32, {1, 2}}, bytes_of("12345678")},
      {{"none", DataType::kI8, {0}}, {}},
      {{"scalar", DataType::kI32, {}}, bytes_of("abcd")},
  };
  const std::string path = folder.file("x");
  write_safetensors(path, tensors, {{"format", "pt"}, {"note", "说明 \"q\""}});
  const SafetensorsFile file(path);
  REQUIRE(file.tensors().size() == 4);
  for (const TensorBytes& tensor : tensors) {
    const TensorInfo* info = file.find(tensor.spec.name);
    REQUIRE(info != nullptr);
    CHECK(info->dtype == tensor.spec.dtype);
    CHECK(info->shape == tensor.spec.shape);
    const std::string written(reinterpret_cast<const char*>(tensor.bytes.data()),
                              tensor.bytes.size());
    CHECK(read_tensor(file, tensor.spec.name) == written);
  }
  CHECK(file.tensors()[0].name == "z");
  CHECK(file.tensors()[1].name == "层");
  CHECK(file.metadata().at("note") == "说明 \"q\"");
}

TEST_CASE("Safetensors: the data of a written file starts at a multiple of 8") {
  const TemporaryFolder folder;
  for (const std::string name : {"a", "ab", "abc", "abcd", "abcde", "abcdef", "abcdefg"}) {
    write_safetensors(folder.file("x"), {{{name, DataType::kU8, {1}}, bytes_of("x")}});
    CHECK((folder.read("x").size() - 1) % 8 == 0);
  }
}

TEST_CASE("Safetensors: a writer that is not finished leaves no file") {
  const TemporaryFolder folder;
  {
    SafetensorsWriter writer(folder.file("x"), {{"a", DataType::kU8, {2}}});
    writer.write(bytes_of("1"));
    CHECK_THROWS_WITH(writer.finish(), folder.file("x") + ": data: must be 2 bytes, got 1");
  }
  CHECK(folder.entry_count() == 0);
}

TEST_CASE("Safetensors: refuses to write what it would refuse to read") {
  const TemporaryFolder folder;
  const auto write = [&](const std::string& name, const Shape& shape, const std::string& bytes) {
    write_safetensors(folder.file("x"), {{{name, DataType::kU8, shape}, bytes_of(bytes)}});
  };
  CHECK_THROWS_AS(write("", {1}, "x"), Error);
  CHECK_THROWS_AS(write("a\xFF", {1}, "x"), Error);
  CHECK_THROWS_AS(write("a", {-1}, "x"), Error);
  CHECK_THROWS_AS(write("a", {2}, "x"), Error);
  CHECK_THROWS_AS(write("__metadata__", {1}, "x"), Error);
  const TensorBytes a{{"a", DataType::kU8, {1}}, bytes_of("x")};
  CHECK_THROWS_AS(write_safetensors(folder.file("x"), {a, a}), Error);
  CHECK_THROWS_AS(write_safetensors(folder.file("x"), {a}, {{"k", "\xFF"}}), Error);
  CHECK(folder.entry_count() == 0);
}

template <typename Number>
std::string bits_of(Number number) {
  std::string bytes(sizeof number, '\0');
  std::memcpy(bytes.data(), &number, sizeof number);
  return bytes;
}

TEST_CASE("Safetensors: NaN and infinity are found in every floating type") {
  const auto find = [](DataType type, const std::string& bytes) {
    return find_non_finite(type, bytes_of(bytes));
  };
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  CHECK(find(DataType::kF32, bits_of(1.0f) + bits_of(-kInfinity)) == 1);
  CHECK(find(DataType::kF32, bits_of(std::numeric_limits<float>::max())) == std::nullopt);
  CHECK(find(DataType::kF64, bits_of(std::numeric_limits<double>::quiet_NaN())) == 0);
  CHECK(find(DataType::kF64, bits_of(std::numeric_limits<double>::max())) == std::nullopt);
  CHECK(find(DataType::kBF16, bits_of(uint16_t{0x7F80})) == 0);
  CHECK(find(DataType::kBF16, bits_of(uint16_t{0xFF7F})) == std::nullopt);
  CHECK(find(DataType::kF16, bits_of(uint16_t{0xFC01})) == 0);
  CHECK(find(DataType::kF16, bits_of(uint16_t{0x7BFF})) == std::nullopt);
  CHECK(find(DataType::kI32, bits_of(kInfinity)) == std::nullopt);
}

}  // namespace
}  // namespace radgpt
