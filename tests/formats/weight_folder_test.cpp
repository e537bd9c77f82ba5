// Bad indexes IX01 to IX17 of the catalogue, and ST58 to ST62: weights that do not fit the model.

#include <filesystem>
#include <string>
#include <vector>

#include "libradgpt/formats/checkpoint_index.h"
#include "tests/base/temporary_folder.h"
#include "tests/formats/refusal.h"
#include "tests/formats/safetensors_bytes.h"

namespace radgpt {
namespace {

namespace fs = std::filesystem;

const std::string kIndex = "model.safetensors.index.json";
const std::string kFirst = "model-00001-of-00002.safetensors";
const std::string kSecond = "model-00002-of-00002.safetensors";

/// A shard of one F32 tensor of two elements.
std::string shard(const std::string& name, const std::string& data = "01234567") {
  return safetensors_bytes("{" + header_entry(name, "F32", "[2]", "[0,8]") + "}", data);
}

std::string index_of(const std::string& weight_map, const std::string& total_size = "16") {
  return "{\"metadata\":{\"total_size\":" + total_size + "},\"weight_map\":" + weight_map + "}";
}

std::string map_of(const std::string& first, const std::string& second) {
  return "{\"a\":\"" + first + "\",\"b\":\"" + second + "\"}";
}

void write_shards(const TemporaryFolder& folder) {
  folder.write(kFirst, shard("a"));
  folder.write(kSecond, shard("b", "abcdefgh"));
  folder.write(kIndex, index_of(map_of(kFirst, kSecond)));
}

std::string refusal_of(const TemporaryFolder& folder) {
  return refusal([&] { WeightFolder weights(folder.path()); });
}

std::string read_tensor(const WeightFolder& weights, const std::string& name) {
  std::string bytes(weights.find(name)->bytes(), '\0');
  weights.read(name, std::as_writable_bytes(std::span(bytes.data(), bytes.size())));
  return bytes;
}

/// Writes tensors of two numbers each, whose bytes are their name eight times, in two pieces.
void write_named(const TemporaryFolder& folder, const std::vector<std::string>& names,
                 int64_t max_shard_bytes) {
  std::vector<TensorSpec> tensors;
  for (const std::string& name : names) tensors.push_back({name, DataType::kF32, {2}});
  write_weight_folder(folder.path(), tensors, max_shard_bytes, [&](size_t i, const ByteSink& sink) {
    const std::string piece = repeated(names[i], 4);
    sink(std::as_bytes(std::span(piece.data(), piece.size())));
    sink(std::as_bytes(std::span(piece.data(), piece.size())));
  });
}

TEST_CASE("WeightFolder: a tensor of other bytes than those of its shape is not written") {
  // Together they are as many as the file has to have.
  for (const size_t first : {size_t{4}, size_t{12}}) {
    INFO(first);
    const TemporaryFolder folder;
    const auto write = [&] {
      write_weight_folder(folder.path(), {{"a", DataType::kF32, {2}}, {"b", DataType::kF32, {2}}},
                          100, [&](size_t i, const ByteSink& sink) {
                            const std::string bytes(i == 0 ? first : 16 - first, 'x');
                            sink(std::as_bytes(std::span(bytes.data(), bytes.size())));
                          });
    };
    check_message(refusal(write), folder.file("model.safetensors"),
                  {"a: must have 8 bytes for F32 [2], got " + std::to_string(first)});
    CHECK(folder.entry_count() == 0);
  }
}

TEST_CASE("WeightFolder: what is written is read, whole or in shards") {
  for (const auto& [max_bytes, files] :
       {std::pair(100, 1), std::pair(24, 1), std::pair(23, 3), std::pair(8, 4), std::pair(1, 4)}) {
    INFO(max_bytes);
    const TemporaryFolder folder;
    write_named(folder, {"c", "a", "b"}, max_bytes);
    CHECK(folder.entry_count() == static_cast<size_t>(files));
    const WeightFolder weights(folder.path());
    CHECK(weights.names() == std::vector<std::string>{"c", "a", "b"});
    for (const std::string name : {"a", "b", "c"}) {
      CHECK(read_tensor(weights, name) == repeated(name, 8));
    }
    if (files > 1) CHECK(read_checkpoint_index(folder.file(kIndex)).total_size == 24);
  }
}

TEST_CASE("WeightFolder: a tensor without its bytes leaves no file") {
  const TemporaryFolder folder;
  const auto write = [&] {
    write_weight_folder(folder.path(), {{"a", DataType::kF32, {2}}}, 100,
                        [](size_t, const ByteSink&) {});
  };
  check_message(refusal(write), folder.file("model.safetensors"),
                {"must have 8 bytes for F32 [2], got 0"});
  CHECK(folder.entry_count() == 0);
}

TEST_CASE("WeightFolder: shards are read as one set") {
  const TemporaryFolder folder;
  write_shards(folder);
  const WeightFolder weights(folder.path());
  CHECK(weights.names() == std::vector<std::string>{"a", "b"});
  CHECK(read_tensor(weights, "a") == "01234567");
  CHECK(read_tensor(weights, "b") == "abcdefgh");
  CHECK(weights.find("c") == nullptr);
  weights.expect({{"a", {2}}, {"b", {2}}});
}

TEST_CASE("WeightFolder: a single file is read") {
  const TemporaryFolder folder;
  folder.write("model.safetensors", shard("a"));
  CHECK(read_tensor(WeightFolder(folder.path()), "a") == "01234567");
}

TEST_CASE("WeightFolder: an index that is written is read back") {
  const TemporaryFolder folder;
  const CheckpointIndex index{16, {{"a", kFirst}, {"b", kSecond}}};
  write_checkpoint_index(folder.file(kIndex), index);
  const CheckpointIndex read = read_checkpoint_index(folder.file(kIndex));
  CHECK(read.total_size == 16);
  CHECK(read.shard == index.shard);
}

TEST_CASE("WeightFolder: refuses a bad index, naming file and key") {
  const std::string good = map_of(kFirst, kSecond);
  const std::string plain = "plain name of a .safetensors file";
  const std::string with_nul = map_of("a\\u0000.safetensors", kSecond);
  const std::vector<BadBytes> rows{
      {"IX01 not JSON", "{" + kSecret, {":1:2:", "valid JSON"}},
      {"IX02 no weight_map", "{\"metadata\":{\"total_size\":16}}", {"weight_map", "is missing"}},
      {"IX03 an array", index_of("[\"" + kSecret + "\"]"), {"weight_map", "object"}},
      {"IX04 not a string", index_of("{\"a\":5}"), {"weight_map.a", "a string", "an integer"}},
      {"IX05 ../x", index_of(map_of("../" + kFirst, kSecond)), {"weight_map", "a", plain}},
      {"IX06 absolute", index_of(map_of("/etc/x.safetensors", kSecond)), {"weight_map", plain}},
      {"IX07 a/b", index_of(map_of("a/b.safetensors", kSecond)), {"weight_map", plain}},
      {"IX08 empty name", index_of(map_of("", kSecond)), {"weight_map", plain, "0 bytes"}},
      {"IX09 NUL in a name", index_of(with_nul), {"weight_map", plain}},
      {"IX12 tensor twice",
       index_of("{\"a\":\"" + kFirst + "\",\"a\":\"" + kSecond + "\"}"),
       {":1:84:", "repeat a key"}},
      {"IX13 not in its shard",
       index_of(good.substr(0, good.size() - 1) + ",\"c\":\"" + kFirst + "\"}"),
       {"weight_map: c", kFirst, "missing there"}},
      {"IX14 not in the index",
       index_of("{\"a\":\"" + kFirst + "\",\"c\":\"" + kSecond + "\"}"),
       {"weight_map: b", kSecond, "is missing"}},
      {"IX14 in the other shard",
       index_of(map_of(kSecond, kSecond), "8"),
       {"weight_map: a", "must be in " + kSecond}},
      {"IX14 shards exchanged",
       index_of(map_of(kSecond, kFirst)),
       {"weight_map: a", "must name " + kFirst, "names " + kSecond}},
      {"IX15 total_size wrong", index_of(good, "17"), {"metadata.total_size", "16", "got 17"}},
      {"IX16 total_size negative", index_of(good, "-1"), {"metadata.total_size", "got -1"}},
      {"IX16 no metadata", "{\"weight_map\":" + good + "}", {"metadata", "is missing"}},
      {"IX17 the index itself", index_of(map_of(kIndex, kSecond)), {"weight_map", plain}},
      {"a hidden file", index_of(map_of(".x.safetensors", kSecond)), {"weight_map", plain}},
      {"a name of 200 bytes",
       index_of(map_of(std::string(188, 'x') + ".safetensors", kSecond)),
       {"200 bytes", plain}},
      {"no tensor at all", index_of("{}", "0"), {"weight_map", "at least one"}},
  };
  const TemporaryFolder folder;
  write_shards(folder);
  for (const BadBytes& row : rows) {
    INFO(row.name);
    const std::string path = folder.write(kIndex, row.bytes);
    check_message(refusal_of(folder), path, row.said);
  }
}

TEST_CASE("WeightFolder: refuses a shard that is missing or leads out of the folder") {
  const TemporaryFolder folder;
  const TemporaryFolder elsewhere;
  write_shards(folder);
  fs::remove(folder.file(kSecond));
  check_message(refusal_of(folder), folder.file(kSecond), {"no such file"});  // IX10
  fs::create_symlink(elsewhere.write("b", shard("b")), folder.file(kSecond));
  check_message(refusal_of(folder), folder.file(kSecond), {"link that leads out"});  // IX11
  fs::remove(folder.file(kSecond));
  fs::create_directory(folder.file(kSecond));
  check_message(refusal_of(folder), folder.file(kSecond), {"must be a file", "a folder"});
}

TEST_CASE("WeightFolder: refuses an index that is a link out of the folder") {
  const TemporaryFolder folder;
  const TemporaryFolder elsewhere;
  write_shards(folder);
  fs::rename(folder.file(kIndex), elsewhere.file("index"));
  fs::create_symlink(elsewhere.file("index"), folder.file(kIndex));
  check_message(refusal_of(folder), folder.file(kIndex), {"link that leads out"});
}

TEST_CASE("WeightFolder: links inside the folder and into the cache's blobs are followed") {
  const TemporaryFolder cache;
  const std::string snapshot = cache.file("snapshots/0123abc");
  fs::create_directories(snapshot);
  fs::create_directory(cache.file("blobs"));
  cache.write("blobs/77aa", shard("a"));
  fs::create_symlink("../../blobs/77aa", snapshot + "/model.safetensors");
  CHECK(read_tensor(WeightFolder(snapshot), "a") == "01234567");

  const TemporaryFolder folder;
  folder.write("weights", shard("a"));
  fs::create_symlink("weights", folder.file("model.safetensors"));
  CHECK(read_tensor(WeightFolder(folder.path()), "a") == "01234567");
}

TEST_CASE("WeightFolder: says which files a folder should hold") {
  const TemporaryFolder folder;
  check_message(refusal_of(folder), folder.path(), {"pytorch_model.bin", "got neither"});
  CHECK(refusal([&] { WeightFolder weights(folder.file("none")); }) ==
        folder.file("none") + ": must be a folder with a model's weights, there is none");
  const std::string file = folder.write("config.json", "{}");
  check_message(refusal([&] { WeightFolder weights(file); }), file, {"folder", "got a file"});
  write_shards(folder);
  folder.write("model.safetensors", shard("a"));
  check_message(refusal_of(folder), folder.path(), {"got both"});
}

TEST_CASE("WeightFolder: names what does not fit the model") {
  const TemporaryFolder folder;
  const std::string header = "{" + header_entry("a", "F32", "[2]", "[0,8]") + "," +
                             header_entry("n", "I32", "[1]", "[8,12]") + "," +
                             header_entry("l.0.rotary_emb.inv_freq", "F32", "[1]", "[12,16]") + "}";
  const std::string path =
      folder.write("model.safetensors", safetensors_bytes(header, std::string(16, 'x')));
  const WeightFolder weights(folder.path());
  const auto expect = [&](const std::vector<NamedShape>& tensors) {
    return refusal([&] { weights.expect(tensors); });
  };
  CHECK(expect({{"a", {2}}, {"n", {1}}, {"c", {3, 4}}, {"d", {1}}}) ==  // ST58
        folder.path() +
            ": c: must be there with shape [3, 4], but is missing (and 1 more like it)");
  CHECK(expect({{"n", {1}}, {"a", {2}}}) ==  // ST61
        path + ": n: must be BF16, F16 or F32, got I32");
  CHECK(expect({{"a", {3}}, {"n", {1}}}) ==  // ST60
        path + ": a: must have shape [3] by config.json, got [2] (and 1 more like it)");
  CHECK(expect({{"a", {2}}}) ==  // ST59
        path + ": n: must not be there: no such tensor in this model");
}

TEST_CASE("WeightFolder: finds weights that are not finite where it is asked to") {  // ST62
  const TemporaryFolder folder;
  write_shards(folder);
  const WeightFolder good(folder.path());
  good.require_finite();
  const std::string path =
      folder.write(kSecond, shard("b", "0123" + std::string("\0\0\x80\x7F", 4)));
  check_message(refusal([&] { WeightFolder(folder.path()).require_finite(); }), path,
                {"b: must be finite", "element 1"});
}

}  // namespace
}  // namespace radgpt
