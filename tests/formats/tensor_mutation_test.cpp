// Damaged files of tensors. The fast cases make the same ones in every run; those of
// [.exhaustive] make 100,000 others of each format in every run and print their seed.

#include <cstdlib>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include "libradgpt/formats/pickle.h"
#include "libradgpt/formats/pytorch_file.h"
#include "libradgpt/formats/safetensors.h"
#include "libradgpt/formats/safetensors_header.h"
#include "tests/formats/mutations.h"
#include "tests/formats/pickle_bytes.h"
#include "tests/formats/safetensors_bytes.h"

namespace radgpt {
namespace {

constexpr int kMany = 100'000;

/// A seed that RADGPT_TEST_SEED repeats.
uint64_t fresh_seed() {
  const char* given = std::getenv("RADGPT_TEST_SEED");
  const uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : uint64_t{std::random_device()()} << 20;
  std::cout << "Mutations: RADGPT_TEST_SEED=" << seed << "\n";
  return seed;
}

const std::vector<std::string>& stumbling_pickle() {
  static const std::string zero(1, '\0');
  static const std::vector<std::string> parts{"(",
                                              ")",
                                              "}",
                                              "t",
                                              "u",
                                              "s",
                                              "R",
                                              "b",
                                              "Q",
                                              "N",
                                              ".",
                                              "h" + zero,
                                              "q" + zero,
                                              "h\x01",
                                              "\x85",
                                              "\x86",
                                              "\x87",
                                              "\x88",
                                              "K" + zero,
                                              "K\x01",
                                              "K\xFF",
                                              "J\xFF\xFF\xFF\xFF",
                                              "\x8A\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F",
                                              string_op("w"),
                                              storage_op("HalfStorage", "1", 4),
                                              global_op("torch", "BFloat16Storage"),
                                              global_op("os", "system"),
                                              kOrderedDictOp};
  return parts;
}

const std::vector<std::string>& stumbling_zip() {
  static const std::vector<std::string> parts{"PK\x03\x04",
                                              "PK\x01\x02",
                                              "PK\x05\x06",
                                              "PK\x06\x06",
                                              "PK\x06\x07",
                                              "PK\x07\x08",
                                              "\xFF\xFF\xFF\xFF",
                                              std::string(4, '\0'),
                                              std::string("\x01\0\x10\0", 4),
                                              "/",
                                              "archive/"};
  return parts;
}

const std::string kData(48, 'x');

/// What a model's state looks like: shared storages, views, a parameter, versions of modules.
std::string good_pickle() {
  const std::string storage = storage_op("FloatStorage", "0", 12);
  const std::string parameter =
      global_op("torch._utils", "_rebuild_parameter") +
      tuple_op(tensor_op(storage_op("BFloat16Storage", "1", 24), 0, {24}, {1}) + "\x88" +
               kOrderedDictOp) +
      "R";
  return kPickleStart + kOrderedDictOp + "(" + string_op("whole") +
         tensor_op(storage, 0, {3, 4}, {4, 1}) + string_op("transposed") +
         tensor_op(storage, 0, {4, 3}, {1, 4}) + string_op("部分") +
         tensor_op(storage, 2, {2, 3}, {0, 3}) + string_op("p") + parameter + "u}" +
         string_op("_metadata") + kOrderedDictOp + "sb.";
}

void read_whole(const TensorFile& file) {
  file.require_finite();
  for (const TensorInfo& tensor : file.tensors()) {
    std::vector<std::byte> bytes(tensor.bytes());
    file.read(tensor, bytes);
  }
}

void survive_safetensors(const Mutants& headers, const Mutants& files) {
  const std::string header = "{\"__metadata__\":{\"format\":\"pt\"}," +
                             header_entry("a", "BF16", "[2,3]", "[0,12]") + "," +
                             header_entry("层", "F32", "[]", "[12,16]") + "}";
  survive(header, headers,
          [](const std::string& bytes) { parse_safetensors_header(bytes, 16, "x"); });
  const MemoryFile memory;
  survive(safetensors_bytes(header, std::string(16, 'x')), files,
          [&](const std::string& bytes) { read_whole(SafetensorsFile(memory.write(bytes))); });
}

void survive_pytorch(const Mutants& pickles, const Mutants& files) {
  const std::string pickle = good_pickle();
  survive(pickle, pickles, [](const std::string& bytes) { parse_tensor_pickle(bytes, "x"); });
  const MemoryFile memory;
  survive(pickle, {files.first_seed, files.count, stumbling_pickle()},
          [&](const std::string& bytes) {  // with the right CRC-32
            read_whole(PytorchFile(memory.write(pytorch_bytes(bytes, {kData, kData}))));
          });
  survive(pytorch_bytes(pickle, {kData, kData}), files,
          [&](const std::string& bytes) { read_whole(PytorchFile(memory.write(bytes))); });
}

TEST_CASE("Mutations: safetensors") { survive_safetensors({.count = 20'000}, {.count = 2'000}); }

TEST_CASE("Mutations: files of torch.save") {
  survive_pytorch({0, 20'000, stumbling_pickle()}, {0, 2'000, stumbling_zip()});
}

TEST_CASE("Mutations: a hundred thousand others of safetensors", "[.exhaustive]") {
  const uint64_t seed = fresh_seed();
  survive_safetensors({seed, kMany}, {seed, kMany});
}

TEST_CASE("Mutations: a hundred thousand others of files of torch.save", "[.exhaustive]") {
  const uint64_t seed = fresh_seed();
  survive_pytorch({seed, kMany, stumbling_pickle()}, {seed, kMany, stumbling_zip()});
}

}  // namespace
}  // namespace radgpt
