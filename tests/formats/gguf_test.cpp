#include "libradgpt/formats/gguf.h"

#include "tests/base/temporary_folder.h"
#include "tests/formats/gguf_reader.h"
#include "tests/formats/refusal.h"

namespace radgpt {
namespace {

std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

const std::vector<GgufTensor> kTensors = {
    {"one", TensorEncoding::kFp32, {3}},
    {"two", TensorEncoding::kBf16, {2, 4}},
    {"three", TensorEncoding::kQ8_0, {3, 32}},
};

const GgufMetadata kMetadata = {{"general.architecture", "baichuan"},
                                {"a.flag", true},
                                {"a.count", uint32_t{4'000'000'000}},
                                {"a.real", 1e-6F},
                                {"a.texts", std::vector<std::string>{"", "双", "a b"}},
                                {"a.reals", std::vector<float>{0, -1.5F}},
                                {"a.whole", std::vector<int32_t>{-1, 6}}};

TEST_CASE("Gguf: header, metadata and tensors stand as the format says") {
  const TemporaryFolder folder;
  const std::string path = folder.file("m.gguf");
  GgufWriter writer(path, kMetadata, kTensors);
  writer.write(as_bytes("0123456789ab"));
  writer.write(as_bytes("ABCDEFG"));  // in two pieces
  writer.write(as_bytes("HIJKLMNOP"));
  const std::string blocks = repeated("q", 3 * 34);
  writer.write(as_bytes(blocks));
  writer.finish();

  const GgufReader file(folder.read("m.gguf"));
  CHECK(file.magic == "GGUF");
  CHECK(file.version == 3);
  CHECK(file.texts.at("general.architecture") == "baichuan");
  CHECK(file.numbers.at("a.flag") == 1);
  CHECK(file.numbers.at("a.count") == 4e9);
  CHECK(file.numbers.at("a.real") == double{1e-6F});
  CHECK(file.text_lists.at("a.texts") == std::vector<std::string>{"", "双", "a b"});
  CHECK(file.number_lists.at("a.reals") == std::vector<double>{0, -1.5});
  CHECK(file.number_lists.at("a.whole") == std::vector<double>{-1, 6});
  CHECK(file.order == std::vector<std::string>{"one", "two", "three"});
  CHECK(file.tensors.at("one").type == 0);
  CHECK(file.tensors.at("two").type == 30);
  CHECK(file.tensors.at("three").type == 8);
  CHECK(file.tensors.at("two").sizes == std::vector<uint64_t>{4, 2});  // columns first
  CHECK(file.tensors.at("one").offset == 0);
  CHECK(file.tensors.at("two").offset == 32);
  CHECK(file.tensors.at("three").offset == 64);
  CHECK(file.data("one", 12) == "0123456789ab");
  CHECK(file.data("two", 16) == "ABCDEFGHIJKLMNOP");
  CHECK(file.data("three", 102) == blocks);
  CHECK(file.file_size() == file.data_begin + 64 + 128);
  CHECK(folder.entry_count() == 1);
}

TEST_CASE("Gguf: a file that is not finished is not there") {
  const TemporaryFolder folder;
  const std::string path = folder.file("m.gguf");
  {
    GgufWriter writer(path, {}, kTensors);
    writer.write(as_bytes("0123456789ab"));
    check_message(refusal([&] { writer.finish(); }), path, {"3 tensors, got 1 and 0 bytes"});
  }
  CHECK(folder.entry_count() == 0);
}

TEST_CASE("Gguf: bytes beyond a tensor are refused") {
  const TemporaryFolder folder;
  const std::string path = folder.file("m.gguf");
  GgufWriter writer(path, {}, {{"one", TensorEncoding::kFp32, {3}}});
  check_message(refusal([&] { writer.write(as_bytes("0123456789abc")); }), path,
                {"tensor 0", "got 13"});
  writer.write(as_bytes("0123456789ab"));
  check_message(refusal([&] { writer.write(as_bytes("x")); }), path, {"tensor 1"});
}

TEST_CASE("Gguf: tensors that the format cannot hold are refused") {
  const TemporaryFolder folder;
  const std::string path = folder.file("m.gguf");
  struct Row {
    GgufTensor tensor;
    std::string said;
  };
  const std::vector<Row> table = {
      {{"", TensorEncoding::kFp32, {3}}, "1 to 63 bytes, got 0"},
      {{std::string(64, 'n'), TensorEncoding::kFp32, {3}}, "1 to 63 bytes, got 64"},
      {{"t", TensorEncoding::kFp32, {}}, "1 to 4 sizes"},
      {{"t", TensorEncoding::kFp32, {1, 1, 1, 1, 1}}, "1 to 4 sizes"},
      {{"t", TensorEncoding::kFp32, {2, 0}}, "an element at least, got [2, 0]"},
      {{"t", TensorEncoding::kFp32, {-1}}, "can be counted"},
      {{"t", TensorEncoding::kFp32, {int64_t{1} << 40, int64_t{1} << 40}}, "can be counted"},
      {{"t", TensorEncoding::kQ8_0, {2, 40}}, "columns in multiples of 32 for q8_0, got 40"},
      {{"one", TensorEncoding::kFp32, {3}}, "must be there once"},
  };
  for (const Row& row : table) {
    INFO(row.said);
    std::vector<GgufTensor> tensors = kTensors;
    tensors.push_back(row.tensor);
    check_message(refusal([&] { GgufWriter(path, {}, tensors); }), path, {row.said});
  }
  CHECK(folder.entry_count() == 0);
}

}  // namespace
}  // namespace radgpt
