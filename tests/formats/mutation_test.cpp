// Thousands of damaged files, the same ones in every run: a reader answers with a value or with an
// Error, never with a crash. Build with AddressSanitizer (preset asan) to see what hides.

#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "libradgpt/base/error.h"
#include "libradgpt/base/files.h"
#include "libradgpt/base/random.h"
#include "libradgpt/formats/calibration_file.h"
#include "libradgpt/formats/json.h"
#include "libradgpt/formats/jsonl.h"
#include "libradgpt/formats/model_config.h"
#include "libradgpt/formats/safetensors_header.h"
#include "libradgpt/formats/sentencepiece_model.h"
#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "tests/formats/safetensors_bytes.h"
#include "tests/formats/sentencepiece_bytes.h"

namespace radgpt {
namespace {

/// One to four edits: a byte changed, a bit flipped, bytes cut out, doubled or exchanged for ones
/// that parsers stumble over.
std::string mutate(std::string bytes, uint64_t seed) {
  static const std::vector<std::string> kStumbling{"\"",
                                                   "{",
                                                   "}",
                                                   "[",
                                                   "]",
                                                   ",",
                                                   ":",
                                                   "\\u",
                                                   "-",
                                                   "1e999",
                                                   "18446744073709551615",
                                                   "null",
                                                   std::string(1, '\0'),
                                                   "\xFF",
                                                   "\x80",
                                                   "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01",
                                                   "\n",
                                                   "\r"};
  Random random(seed, RandomStream::kSampling);
  const uint32_t edits = 1 + random.next_below(4);
  for (uint32_t i = 0; i < edits && !bytes.empty(); ++i) {
    const size_t at = random.next_below(static_cast<uint32_t>(bytes.size()));
    const size_t length = 1 + random.next_below(8);
    switch (random.next_below(6)) {
      case 0:
        bytes[at] = static_cast<char>(random.next_below(256));
        break;
      case 1:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.next_below(8)));
        break;
      case 2:
        bytes.erase(at, length);
        break;
      case 3:
        bytes.insert(at, bytes.substr(at, length));
        break;
      case 4:
        bytes.insert(at, kStumbling[random.next_below(static_cast<uint32_t>(kStumbling.size()))]);
        break;
      default:
        bytes.resize(at);
    }
  }
  return bytes;
}

/// A file in memory that is written over and over.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(memfd_create("radgpt", MFD_CLOEXEC)) {}

  /// Replaces all bytes; gives the path to open.
  std::string write(const std::string& bytes) const {
    REQUIRE(ftruncate(descriptor_.get(), 0) == 0);
    REQUIRE(pwrite(descriptor_.get(), bytes.data(), bytes.size(), 0) ==
            static_cast<ssize_t>(bytes.size()));
    return "/proc/self/fd/" + std::to_string(descriptor_.get());
  }

 private:
  FileDescriptor descriptor_;
};

/// Gives `read` many damaged copies of `good`, which it must accept; some must be refused.
template <typename Read>
void survive(const std::string& good, int count, const Read& read) {
  read(good);
  int refused = 0;
  for (int i = 0; i < count; ++i) {
    try {
      read(mutate(good, static_cast<uint64_t>(i)));
    } catch (const Error& error) {
      ++refused;
      REQUIRE(std::string(error.what()).find('\n') == std::string::npos);
    }
  }
  CHECK(refused > count / 2);
}

TEST_CASE("Mutations: safetensors headers") {
  const std::string header = "{\"__metadata__\":{\"format\":\"pt\"}," +
                             header_entry("a", "BF16", "[2,3]", "[0,12]") + "," +
                             header_entry("层", "F32", "[]", "[12,16]") + "}";
  survive(header, 20'000,
          [](const std::string& bytes) { parse_safetensors_header(bytes, 16, "x"); });
}

TEST_CASE("Mutations: whole safetensors files") {
  const MemoryFile memory;
  const std::string good = safetensors_bytes(
      "{" + header_entry("a", "F32", "[2,3]", "[0,24]") + "}", std::string(24, 'x'));
  survive(good, 2'000, [&](const std::string& bytes) {
    const SafetensorsFile file(memory.write(bytes));
    file.require_finite();
  });
}

TEST_CASE("Mutations: JSON, its typed access and the model's config") {
  const TemporaryFolder folder;
  const MemoryFile memory;
  write_model_config(folder.file("good"), ModelConfig{});
  survive(folder.read("good"), 4'000,
          [&](const std::string& bytes) { read_model_config(memory.write(bytes)); });
  const std::string nested =
      R"({"a":[[1,-2.5e3],{"b":"双肺\u80ba\ud83e\udec1\n"}],"c":null,"d":true})";
  survive(nested, 20'000, [](const std::string& bytes) { parse_json(bytes, {"x"}); });
}

TEST_CASE("Mutations: calibration files") {
  const MemoryFile memory;
  survive(R"({"temperatures":{"adapter":{"abnormal":1.5},"base":{"abnormal":2}}})", 4'000,
          [&](const std::string& bytes) { read_calibration(memory.write(bytes)); });
}

TEST_CASE("Mutations: JSON lines") {
  const MemoryFile memory;
  const std::string good = "\xEF\xBB\xBF{\"text\":\"双肺纹理\"}\r\n{\"a\":[1,2]}\n{\"b\":{}}\n\n";
  survive(good, 4'000, [&](const std::string& bytes) {
    JsonlReader reader(memory.write(bytes));
    for (JsonLine line; reader.next(line);) REQUIRE(line.value.is_object());
  });
}

TEST_CASE("Mutations: tokenizer models") {
  std::string good = piece("<unk>", 2) + piece("<s>", 3) + piece("双肺", 1, -1) + piece("a", 4);
  good += trainer(2, number_field(40, 0) + number_field(41, 1) + bytes_field(30, "unused"));
  good += normalizer(bytes_field(1, "identity") + number_field(3, 0));
  survive(good + number_field(42, 2), 20'000, [](const std::string& bytes) {
    const SentencePieceModel model = parse_tokenizer_model(bytes, "x");
    const SentencePieceModel again = parse_tokenizer_model(serialize_tokenizer_model(model), "x");
    REQUIRE(again.pieces.size() == model.pieces.size());
  });
}

}  // namespace
}  // namespace radgpt
