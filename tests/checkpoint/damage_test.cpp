// A thousand damaged copies of the newest checkpoint: each is found, said and passed over.

#include <sys/stat.h>

#include <filesystem>
#include <iostream>
#include <iterator>
#include <limits>
#include <string>

#include "libradgpt/base/error.h"
#include "libradgpt/base/hash.h"
#include "libradgpt/base/random.h"
#include "tests/base/seed.h"
#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "tests/checkpoint/manifest_edit.h"
#include "tests/checkpoint/small_checkpoint.h"

namespace radgpt {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

/// The files of a store with steps 1, 2 and 3, of which step 3 is damaged.
class Damager {
 public:
  Damager(const TemporaryFolder& folder, Random random) : folder_(folder), random_(random) {}

  /// Damages the newest checkpoint and says how.
  std::string damage() {
    const std::string file = drawn(2) == 0 ? "MANIFEST.json" : "state.safetensors";
    const std::string path = "step-3/" + file;
    const std::string before = folder_.read(path);
    switch (drawn(9)) {
      case 0:
        return damage_bytes(path, before), "bytes of " + file;
      case 1:
        return flip_bit(path, before), "a bit of " + file;
      case 2:
        folder_.write(path, before.substr(0, drawn(before.size())));
        return "the end of " + file;
      case 3:
        folder_.write(path, before + std::string(1 + drawn(8), before[drawn(before.size())]));
        return "bytes behind " + file;
      case 4:
        folder_.write(path, folder_.read("step-2/" + file));
        return file + " of another step";
      case 5:
        for (const char* both : {"MANIFEST.json", "state.safetensors"}) {
          folder_.write(std::string("step-3/") + both, folder_.read(std::string("step-2/") + both));
        }
        return "both files of another step";
      case 6:
        return replace(path), "something else in place of " + file;
      default:
        return edit();
    }
  }

 private:
  size_t drawn(size_t below) { return random_.next_below(static_cast<uint32_t>(below)); }

  void flip_bit(const std::string& path, std::string bytes) {
    char& byte = bytes[drawn(bytes.size())];
    byte = static_cast<char>(byte ^ (1 << drawn(8)));
    folder_.write(path, bytes);
  }

  /// Zeros, as in a block that was never written.
  void damage_bytes(const std::string& path, const std::string& before) {
    std::string bytes = before;
    while (bytes == before) {
      const size_t begin = drawn(bytes.size());
      const size_t end = begin + 1 + drawn(bytes.size() - begin);
      std::fill(bytes.begin() + static_cast<int64_t>(begin),
                bytes.begin() + static_cast<int64_t>(end), '\0');
    }
    folder_.write(path, bytes);
  }

  void replace(const std::string& name) {
    const std::string path = folder_.file(name);
    fs::remove(path);
    const size_t kind = drawn(4);
    if (kind == 1) fs::create_directory(path);
    if (kind == 2) mkfifo(path.c_str(), 0600);
    if (kind == 3) fs::create_symlink(path, path);
  }

  /// The manifest says something else, and its digest says that it does.
  std::string edit();

  const TemporaryFolder& folder_;
  Random random_;
};

std::string Damager::edit() {
  const std::string name = "state.safetensors";
  const std::function<void(Json&)> edits[] = {
      [&](Json& json) { json["step"] = 4 + drawn(100); },
      [&](Json& json) { json["step"] = "3"; },
      [&](Json& json) { json["version"] = 0; },
      [&](Json& json) { json["best"] = 1; },
      [&](Json& json) { json["best_loss_bits"] = 0.5; },
      [&](Json& json) { json["counters"]["position"] = "3"; },
      [&](Json& json) { json["counters"] = Json::array(); },
      [&](Json& json) { json["facts"]["ranks"] = 2; },
      [&](Json& json) { json["identity"]["data"] = nullptr; },
      [&](Json& json) { json["files"] = Json::object(); },
      [&](Json& json) { json["files"][name]["size"] = drawn(100); },
      [&](Json& json) { json["files"][name]["size"] = -1; },
      [&](Json& json) { json["files"][name]["sha256"] = to_hex(sha256("other")); },
      [&](Json& json) { json["files"]["more.bin"] = json["files"][name]; },
      [&](Json& json) { json["files"]["../step-2/" + name] = json["files"][name]; },
      [&](Json& json) { json["files"][""] = json["files"][name]; },
      [&](Json& json) {
        for (size_t skip = drawn(json.size() - 2); skip > 0; --skip) json.erase(json.begin());
        json.erase("files");
      },
      [&](Json& json) {
        json = Json::array({json});
        json.push_back(1);
        json = Json::object();
      }};
  const size_t chosen = drawn(std::size(edits));
  edit_manifest(folder_.file("step-3"), edits[chosen]);
  return concat("the manifest, edit ", chosen);
}

TEST_CASE("Damage: each of a thousand damaged checkpoints is found and the one before is used") {
  const uint64_t seed = chosen_seed("Damage");
  const TemporaryFolder folder;
  CheckpointStore store(folder.path(), 3, kIdentity);
  for (const int64_t step : {1, 2, 3}) store.save(small_checkpoint(step));
  const TemporaryFolder good;
  copy_folder(folder.file("step-3"), good.file("step-3"));
  int found = 0;
  for (uint64_t number = 0; number < 1000; ++number) {
    Damager damager(folder, Random(seed, RandomStream::kSampling, number));
    const std::string damage = damager.damage();
    INFO("RADGPT_TEST_SEED=" << seed << ", damage " << number << ": " << damage);
    Notes notes;
    const auto loaded = store.load_newest(notes.taker());
    REQUIRE(loaded);
    CHECK(loaded->step == 2);
    CHECK(is_whole(*loaded));
    REQUIRE(notes.lines.size() == 1);
    CHECK(notes.lines[0].starts_with("checkpoint passed over: " + folder.file("step-3/")));
    CHECK(notes.lines[0].find('\n') == std::string::npos);
    found += loaded->step == 2 && notes.lines.size() == 1;
    fs::remove_all(folder.file("step-3"));
    copy_folder(good.file("step-3"), folder.file("step-3"));
  }
  std::cout << "Damage: " << found << " of 1000 found\n";
}

TEST_CASE("Damage: checkpoints that have changed their names are both found") {
  const TemporaryFolder folder;
  CheckpointStore store(folder.path(), 3, kIdentity);
  for (const int64_t step : {1, 2, 3}) store.save(small_checkpoint(step));
  fs::rename(folder.file("step-2"), folder.file("step-4"));
  fs::rename(folder.file("step-3"), folder.file("step-2"));
  Notes notes;
  CHECK(store.load_newest(notes.taker())->step == 1);
  CHECK(notes.lines ==
        std::vector<std::string>{"checkpoint passed over: " + folder.file("step-4/MANIFEST.json") +
                                     ": step: must be that of the folder's name, 4, got 2",
                                 "checkpoint passed over: " + folder.file("step-2/MANIFEST.json") +
                                     ": step: must be that of the folder's name, 2, got 3"});
}

}  // namespace
}  // namespace radgpt
