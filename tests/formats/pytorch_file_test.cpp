#include "libradgpt/formats/pytorch_file.h"

#include <cstring>
#include <sstream>
#include <string>
#include <vector>

#include "libradgpt/base/error.h"
#include "libradgpt/base/hash.h"
#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "tests/formats/pickle_bytes.h"

namespace radgpt {
namespace {

/// F32 numbers 0, 1, 2, … as bytes.
std::string counting(size_t count) {
  std::string bytes;
  for (size_t i = 0; i < count; ++i) bytes += little_endian(static_cast<float>(i));
  return bytes;
}

/// A tensor's values, read `piece` bytes at a time.
std::vector<float> values_of(const PytorchFile& file, const std::string& name, size_t piece) {
  const TensorInfo* tensor = file.find(name);
  REQUIRE(tensor != nullptr);
  std::vector<float> values(tensor->bytes() / sizeof(float));
  const auto bytes = std::as_writable_bytes(std::span(values));
  for (size_t from = 0; from < bytes.size(); from += piece) {
    file.read(*tensor, bytes.subspan(from, std::min(piece, bytes.size() - from)), from);
  }
  return values;
}

using Floats = std::vector<float>;

TEST_CASE("PyTorch file: tensors that are whole storages are read") {
  const TemporaryFolder folder;
  const std::string pickle =
      dict_pickle({{"b", float_tensor_op("1", {2, 2})},
                   {"a", tensor_op(storage_op("BFloat16Storage", "0", 3), 0, {3}, {1})},
                   {"scalar", float_tensor_op("2", {})},
                   {"none", float_tensor_op("3", {0, 4})}});
  const PytorchFile file(
      folder.write("x.bin", pytorch_bytes(pickle, {"aAaAaA", counting(4), counting(1), ""})));
  REQUIRE(file.tensors().size() == 4);
  CHECK(file.tensors()[0].name == "b");
  CHECK(file.tensors()[1].dtype == DataType::kBF16);
  CHECK(file.find("scalar")->shape.empty());
  CHECK(file.find("none")->shape == Shape{0, 4});
  CHECK(file.find("c") == nullptr);
  CHECK(values_of(file, "b", 16) == Floats{0, 1, 2, 3});
  CHECK(values_of(file, "b", 5) == Floats{0, 1, 2, 3});
  CHECK(values_of(file, "scalar", 4) == Floats{0});
  CHECK(values_of(file, "none", 4).empty());
  std::string bytes(6, '\0');
  file.read(*file.find("a"), std::as_writable_bytes(std::span(bytes.data(), bytes.size())));
  CHECK(bytes == "aAaAaA");
}

TEST_CASE("PyTorch file: views of one storage are read row-major, whole or in pieces") {
  const TemporaryFolder folder;
  const std::string storage = storage_op("FloatStorage", "0", 12);  // 3 rows of 4
  const std::string pickle = dict_pickle({{"whole", tensor_op(storage, 0, {3, 4}, {4, 1})},
                                          {"transposed", tensor_op(storage, 0, {4, 3}, {1, 4})},
                                          {"rows", tensor_op(storage, 4, {2, 4}, {4, 1})},
                                          {"columns", tensor_op(storage, 1, {3, 2}, {4, 1})},
                                          {"column", tensor_op(storage, 2, {3, 1}, {4, 9})},
                                          {"expanded", tensor_op(storage, 3, {2, 3}, {0, 4})},
                                          {"cube", tensor_op(storage, 0, {2, 3, 2}, {1, 4, 2})},
                                          {"empty", tensor_op(storage, 12, {0}, {1})}});
  const std::string path = folder.write("x.bin", pytorch_bytes(pickle, {counting(12)}));
  for (const size_t piece : {size_t{1000}, size_t{4}, size_t{3}}) {
    const PytorchFile file(path);
    CHECK(values_of(file, "whole", piece) == Floats{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
    CHECK(values_of(file, "transposed", piece) == Floats{0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11});
    CHECK(values_of(file, "rows", piece) == Floats{4, 5, 6, 7, 8, 9, 10, 11});
    CHECK(values_of(file, "columns", piece) == Floats{1, 2, 5, 6, 9, 10});
    CHECK(values_of(file, "column", piece) == Floats{2, 6, 10});
    CHECK(values_of(file, "expanded", piece) == Floats{3, 7, 11, 3, 7, 11});
    CHECK(values_of(file, "cube", piece) == Floats{0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11});
    CHECK(values_of(file, "empty", piece).empty());
  }
}

TEST_CASE("PyTorch file: long rows and values far apart are read where they lie") {
  const TemporaryFolder folder;
  const std::string storage = storage_op("FloatStorage", "0", 8192);
  const std::string pickle = dict_pickle({{"rows", tensor_op(storage, 10, {2, 2000}, {4000, 1})},
                                          {"far", tensor_op(storage, 1, {2}, {8000})}});
  const PytorchFile file(folder.write("x.bin", pytorch_bytes(pickle, {counting(8192)})));
  const Floats rows = values_of(file, "rows", 4999);
  CHECK(rows.front() == 10);
  CHECK(rows[1999] == 2009);
  CHECK(rows[2000] == 4010);
  CHECK(rows.back() == 6009);
  CHECK(values_of(file, "far", 8) == Floats{1, 8001});
}

/// A file of one tensor "w" of 6 floats, one bit of which is flipped.
std::string damaged_file(const std::string& value) {
  std::string bytes = pytorch_bytes(dict_pickle({{"w", value}}), {counting(6)});
  bytes[bytes.find(counting(6)) + 20] ^= 4;
  return bytes;
}

TEST_CASE("PyTorch file: a damaged storage is found however its tensor is read") {
  const TemporaryFolder folder;
  const std::string whole = float_tensor_op("0", {6});
  const std::string part = tensor_op(storage_op("FloatStorage", "0", 6), 0, {2}, {1});
  const auto read = [&](const std::string& value, uint64_t from, size_t count) {
    const PytorchFile file(folder.write("x.bin", damaged_file(value)));
    std::vector<std::byte> bytes(count);
    file.read(*file.find("w"), bytes, from);
  };
  CHECK_THROWS_AS(read(whole, 0, 24), Error);
  CHECK_THROWS_AS(read(whole, 4, 4), Error);  // not from the beginning on
  CHECK_THROWS_AS(read(part, 0, 8), Error);   // never all of the storage
  const PytorchFile file(folder.write("x.bin", damaged_file(whole)));
  std::vector<std::byte> bytes(12);
  file.read(*file.find("w"), bytes, 0);  // its CRC-32 is known with the last byte
  CHECK_THROWS_AS(file.read(*file.find("w"), bytes, 12), Error);
}

TEST_CASE("PyTorch file: pieces that are read again or out of order are right") {
  const TemporaryFolder folder;
  const PytorchFile file(folder.write(
      "x.bin", pytorch_bytes(dict_pickle({{"w", float_tensor_op("0", {6})}}), {counting(6)})));
  const auto value_at = [&](uint64_t from) {
    float value = -1;
    file.read(*file.find("w"), std::as_writable_bytes(std::span(&value, 1)), from);
    return value;
  };
  CHECK(value_at(0) == 0);
  CHECK(value_at(0) == 0);
  CHECK(value_at(4) == 1);
  CHECK(value_at(16) == 4);
  CHECK(value_at(8) == 2);
  CHECK_THROWS_AS(value_at(21), Error);
  CHECK_THROWS_AS(value_at(UINT64_MAX), Error);
}

TEST_CASE("PyTorch file: padding, Zip64 places and notes of torch.save are accepted") {
  const TemporaryFolder folder;
  std::vector<ZipPart> parts =
      pytorch_parts(dict_pickle({{"w", float_tensor_op("0", {2})}}), {counting(2)});
  parts[2].is_zip64 = true;
  parts[2].padding = "FB" + little_endian(uint16_t{30}) + std::string(30, 'Z');
  parts.push_back({.name = "archive/.format_version", .bytes = "1"});
  parts.push_back({.name = "archive/.data/serialization_id", .bytes = std::string(40, '7')});
  parts.back().flags = 0x0800;     // its sizes stand before it
  parts.erase(parts.begin() + 1);  // PyTorch before 2.1 does not write byteorder
  for (ZipPart& part : parts) part.name.replace(0, 7, "模型");
  const PytorchFile file(folder.write("x.bin", zip_bytes(parts)));
  CHECK(values_of(file, "w", 8) == Floats{0, 1});
}

TEST_CASE("PyTorch file: the sum of a tensor's bytes is that of the archive, or of the view") {
  const TemporaryFolder folder;
  const std::string view = tensor_op(storage_op("FloatStorage", "0", 6), 0, {3, 2}, {1, 3});
  const PytorchFile file(folder.write(
      "x.bin",
      pytorch_bytes(dict_pickle({{"w", float_tensor_op("0", {6})}, {"v", view}}), {counting(6)})));
  CHECK(file.crc32(*file.find("w")) == plain_crc32(counting(6)));
  std::string transposed;
  for (const float value : {0, 3, 1, 4, 2, 5}) transposed += little_endian(value);
  CHECK(file.crc32(*file.find("v")) == plain_crc32(transposed));
}

/// The golden file was written by PyTorch 2.11.0: tests/reference/files/compare_files.py
/// --write-golden. Beside it stand PyTorch's own name, type, shape and SHA-256 of each tensor.
TEST_CASE("PyTorch file: a file of torch.save is read with PyTorch's own bits") {
  const std::string golden = std::string(RADGPT_SOURCE_DIR) + "/tests/formats/golden/torch_save";
  const PytorchFile file(golden + ".bin");
  std::istringstream expected(read_file(golden + ".txt", 1 << 20));
  size_t lines = 0;
  for (std::string line; std::getline(expected, line); ++lines) {
    const TensorInfo& tensor = file.tensors().at(lines);
    std::string bytes(tensor.bytes(), '\0');
    file.read(tensor, std::as_writable_bytes(std::span(bytes.data(), bytes.size())));
    CHECK(concat(tensor.name, "\t", name_of(tensor.dtype), "\t", to_text(tensor.shape), "\t",
                 to_hex(sha256(bytes))) == line);
  }
  CHECK(lines == 9);
  CHECK(file.tensors().size() == lines);
}

TEST_CASE("Tensor files: the name says which of the two a file must be") {
  const TemporaryFolder folder;
  const std::string bytes =
      pytorch_bytes(dict_pickle({{"w", float_tensor_op("0", {1})}}), {counting(1)});
  CHECK(open_tensor_file(folder.write("x.bin", bytes))->tensors().size() == 1);
  CHECK_THROWS_WITH(open_tensor_file(folder.write("x.safetensors", bytes)),  // ST55
                    Catch::Matchers::ContainsSubstring("x.safetensors: header") &&
                        Catch::Matchers::ContainsSubstring("torch.save"));
  CHECK_THROWS_WITH(open_tensor_file(folder.write("x.pt", bytes)),
                    Catch::Matchers::ContainsSubstring("x.pt: must be named"));
}

}  // namespace
}  // namespace radgpt
