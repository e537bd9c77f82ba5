// Model folders with pytorch_model*.bin, alone or beside safetensors (IX18).

#include <filesystem>
#include <string>
#include <vector>

#include "libradgpt/formats/checkpoint_index.h"
#include "tests/base/temporary_folder.h"
#include "tests/formats/pickle_bytes.h"
#include "tests/formats/refusal.h"
#include "tests/formats/safetensors_bytes.h"

namespace radgpt {
namespace {

namespace fs = std::filesystem;

const std::string kIndex = "pytorch_model.bin.index.json";
const std::string kFirst = "pytorch_model-00001-of-00002.bin";
const std::string kSecond = "pytorch_model-00002-of-00002.bin";
const std::string kData = "01234567";

/// A shard of one F32 tensor of two elements, which may come with others.
std::string shard(const std::string& name, const std::string& data = kData) {
  return pytorch_bytes(dict_pickle({{name, float_tensor_op("0", {2})}}), {data});
}

std::string safetensors_shard(const std::string& name, const std::string& data = kData,
                              const std::string& type = "F32", const std::string& shape = "[2]") {
  return safetensors_bytes("{" + header_entry(name, type, shape, "[0,8]") + "}", data);
}

std::string index_of(const std::string& first, const std::string& second) {
  return R"({"metadata":{"total_size":16},"weight_map":{"a":")" + first + R"(","b":")" + second +
         "\"}}";
}

void write_shards(const TemporaryFolder& folder) {
  folder.write(kFirst, shard("a"));
  folder.write(kSecond, shard("b", "abcdefgh"));
  folder.write(kIndex, index_of(kFirst, kSecond));
}

std::string read_tensor(const WeightFolder& weights, const std::string& name, size_t piece = 8) {
  std::string bytes(weights.find(name)->bytes(), '\0');
  const auto all = std::as_writable_bytes(std::span(bytes.data(), bytes.size()));
  for (size_t from = 0; from < all.size(); from += piece) {
    weights.read(name, all.subspan(from, std::min(piece, all.size() - from)), from);
  }
  return bytes;
}

std::string refusal_of(const TemporaryFolder& folder) {
  return refusal([&] {
    const WeightFolder weights(folder.path());
    for (const std::string& name : weights.names()) read_tensor(weights, name);
  });
}

TEST_CASE("PyTorch folder: a single file and shards are read") {
  const TemporaryFolder single;
  single.write("pytorch_model.bin", shard("a"));
  CHECK(read_tensor(WeightFolder(single.path()), "a") == kData);
  const TemporaryFolder folder;
  write_shards(folder);
  const WeightFolder weights(folder.path());
  CHECK(weights.names() == std::vector<std::string>{"a", "b"});
  CHECK(read_tensor(weights, "b", 3) == "abcdefgh");
  weights.expect({{"a", {2}}, {"b", {2}}});
  weights.require_finite();
}

TEST_CASE("PyTorch folder: links of the Hugging Face cache are followed, others are not") {
  const TemporaryFolder cache;
  const std::string snapshot = cache.file("snapshots/0123abc");
  fs::create_directories(snapshot);
  fs::create_directory(cache.file("blobs"));
  cache.write("blobs/77aa", shard("a"));
  fs::create_symlink("../../blobs/77aa", snapshot + "/pytorch_model.bin");
  CHECK(read_tensor(WeightFolder(snapshot), "a") == kData);
  const TemporaryFolder folder;
  fs::create_symlink(cache.file("blobs/77aa"), folder.file("pytorch_model.bin"));
  check_message(refusal_of(folder), folder.file("pytorch_model.bin"), {"link that leads out"});
}

TEST_CASE("PyTorch folder: refuses an index that leads elsewhere or is wrong") {
  const std::string plain = "plain name of a .bin file";
  const std::vector<BadBytes> rows{
      {"IX05 ../x", index_of("../" + kFirst, kSecond), {"weight_map: a", plain}},
      {"IX06 absolute", index_of("/x.bin", kSecond), {"weight_map: a", plain}},
      {"IX07 a/b", index_of("a/b.bin", kSecond), {"weight_map: a", plain}},
      {"IX08 empty", index_of("", kSecond), {"weight_map: a", plain}},
      {"IX17 the index itself", index_of(kIndex, kSecond), {"weight_map: a", plain}},
      {"a safetensors shard", index_of("x.safetensors", kSecond), {"weight_map: a", plain}},
      {"IX14 exchanged", index_of(kSecond, kFirst), {"weight_map: a", "must name " + kFirst}},
  };
  const TemporaryFolder folder;
  write_shards(folder);
  for (const BadBytes& row : rows) {
    INFO(row.name);
    const std::string path = folder.write(kIndex, row.bytes);
    check_message(refusal_of(folder), path, row.said);
  }
  folder.write(kIndex, index_of(kFirst, kSecond));
  fs::remove(folder.file(kSecond));
  check_message(refusal_of(folder), folder.file(kSecond), {"no such file"});  // IX10
}

TEST_CASE("PyTorch folder: names what does not fit the model, without rotary tables") {
  const TemporaryFolder folder;
  const std::string rotary = "model.layers.0.self_attn.rotary_emb.inv_freq";
  const std::string path = folder.write(
      "pytorch_model.bin", pytorch_bytes(dict_pickle({{"a", float_tensor_op("0", {2})},
                                                      {"c", float_tensor_op("1", {2})},
                                                      {rotary, float_tensor_op("2", {2})}}),
                                         {kData, kData, kData}));
  const WeightFolder weights(folder.path());
  weights.expect({{"a", {2}}, {"c", {2}}});
  const auto said = [&](const std::vector<NamedShape>& tensors) {
    return refusal([&] { weights.expect(tensors); });
  };
  check_message(said({{"a", {2}}, {"c", {2}}, {"d", {1}}}), folder.path(), {"d", "is missing"});
  check_message(said({{"a", {2}}, {"c", {3}}}), path, {"c: must have shape [3]", "got [2]"});
  check_message(said({{"a", {2}}}), path, {"c: must not be there"});
}

TEST_CASE("PyTorch folder: equal weights beside safetensors are accepted") {
  const TemporaryFolder folder;
  folder.write("model.safetensors", safetensors_shard("a"));
  folder.write(kIndex, "{}");  // alone it holds no weights
  CHECK(read_tensor(WeightFolder(folder.path()), "a") == kData);
  fs::remove(folder.file(kIndex));
  folder.write("pytorch_model.bin", shard("a"));
  CHECK(read_tensor(WeightFolder(folder.path()), "a") == kData);
  CHECK(read_tensor(WeightFolder(folder.path()), "a", 3) == kData);
  const std::string transposed =  // of a storage of the elements in another order
      tensor_op(storage_op("FloatStorage", "0", 3), 1, {2}, {1});
  folder.write("pytorch_model.bin",
               pytorch_bytes(dict_pickle({{"a", transposed}}), {"xxxx" + kData}));
  CHECK(read_tensor(WeightFolder(folder.path()), "a") == kData);
}

TEST_CASE("PyTorch folder: other weights beside safetensors are refused") {  // IX18
  const std::string one = "remove one of the two sets";
  const auto said = [&](const std::string& safetensors, const std::string& pytorch,
                        const std::vector<std::string>& parts) {
    const TemporaryFolder folder;
    folder.write("model.safetensors", safetensors);
    folder.write("pytorch_model.bin", pytorch);
    const std::string message = refusal_of(folder);
    CHECK(message.find(one) != std::string::npos);
    check_message(message, parts.empty() ? folder.file("pytorch_model.bin") : folder.path(), parts);
  };
  said(safetensors_shard("a"), shard("a", "01234568"), {"a: must be the same", "other values"});
  said(safetensors_shard("a"), shard("b"), {"a: must be the same", "none in the other"});
  said(safetensors_shard("a", kData, "BF16", "[4]"), shard("a"),
       {"a: must be the same", "BF16 [4] in model.safetensors and F32 [2]"});
  said(safetensors_shard("a", kData, "F32", "[1,2]"), shard("a"), {"F32 [1, 2]", "and F32 [2]"});
  said(safetensors_shard("a"),
       pytorch_bytes(
           dict_pickle({{"a", float_tensor_op("0", {2})}, {"b", float_tensor_op("1", {2})}}),
           {kData, kData}),
       {"b: must be the same", "F32 [2] in pytorch_model.bin", "none in the other"});
  said(safetensors_shard("a"), "PK", {});  // cannot be compared
}

TEST_CASE("PyTorch folder: refuses shards without their index beside safetensors") {
  const TemporaryFolder folder;
  folder.write("model.safetensors", safetensors_shard("a"));
  folder.write(kFirst, shard("a"));
  check_message(refusal_of(folder), folder.path(), {"got neither", "remove one of the two sets"});
}

TEST_CASE("PyTorch folder: finds weights that are not finite where it is asked to") {
  const TemporaryFolder folder;
  const std::string infinite = "0123" + std::string("\0\0\x80\x7F", 4);
  const std::string path = folder.write("pytorch_model.bin", shard("a", infinite));
  check_message(refusal([&] { WeightFolder(folder.path()).require_finite(); }), path,
                {"a: must be finite", "element 1"});
}

}  // namespace
}  // namespace radgpt
