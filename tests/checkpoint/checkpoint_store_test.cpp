#include "libradgpt/checkpoint/checkpoint_store.h"

#include <torch/types.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "libradgpt/base/error.h"
#include "tests/catch.h"

namespace radgpt {
namespace {

namespace fs = std::filesystem;

/// A folder of its own, removed at the end.
struct Folder {
  Folder() {
    char pattern[] = "/tmp/radgpt-checkpoint-XXXXXX";
    path = ::mkdtemp(pattern);
  }
  ~Folder() { fs::remove_all(path); }
  std::string path;
};

const Identity kIdentity = {{"recipe", "a1"}, {"data", "b2"}};

Checkpoint checkpoint_of(int64_t step) {
  Checkpoint checkpoint;
  checkpoint.step = step;
  checkpoint.best_loss = std::numeric_limits<double>::infinity();
  checkpoint.counters = {{"epoch", 1}, {"position", step}};
  checkpoint.tensors = {{"parameters", at::arange(5, at::kFloat) + static_cast<double>(step)}};
  return checkpoint;
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

void flip_byte(const std::string& path, int64_t at) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(at);
  const char byte = static_cast<char>(file.get());
  file.seekp(at);
  file.put(static_cast<char>(byte ^ 0x10));
}

struct Notes {
  std::vector<std::string> lines;
  auto taker() {
    return [this](const std::string& line) { lines.push_back(line); };
  }
};

TEST_CASE("Checkpoints: what was saved is loaded, to the bit") {
  const Folder folder;
  CheckpointStore store(folder.path, 2, kIdentity);
  store.save(checkpoint_of(7));
  Notes notes;
  const auto loaded = store.load_newest(notes.taker());
  REQUIRE(loaded);
  CHECK(loaded->step == 7);
  CHECK(loaded->best_loss == std::numeric_limits<double>::infinity());
  CHECK(loaded->counter("position") == 7);
  const at::Tensor expected = checkpoint_of(7).tensors["parameters"];
  CHECK(at::equal(loaded->tensor("parameters", expected), expected));
  CHECK(notes.lines.empty());
  CHECK_THROWS_WITH(loaded->tensor("parameters", at::ones({6})),
                    "checkpoint of step 7: tensor parameters must have 6 elements, got 5");
}

TEST_CASE("Checkpoints: the newest are kept, and nothing half done stays") {
  const Folder folder;
  CheckpointStore store(folder.path, 2, kIdentity);
  for (const int64_t step : {1, 2, 9, 10}) store.save(checkpoint_of(step));
  CHECK(names_in(folder.path) == std::vector<std::string>{".lock", "step-10", "step-9"});
  CHECK(store.load_newest([](const std::string&) {})->step == 10);
  CHECK(newest_checkpoint(folder.path) == 10);
}

TEST_CASE("Checkpoints: an empty folder has none") {
  const Folder folder;
  const CheckpointStore store(folder.path, 2, kIdentity);
  CHECK_FALSE(store.load_newest([](const std::string&) {}));
  CHECK(newest_checkpoint(folder.path) == 0);
  CHECK(newest_checkpoint(folder.path + "/none") == 0);
}

TEST_CASE("Checkpoints: any damage is found, said, and the one before is used") {
  const Folder folder;
  CheckpointStore store(folder.path, 9, kIdentity);
  store.save(checkpoint_of(1));
  for (const std::string file : {"state.safetensors", "MANIFEST.json"}) {
    store.save(checkpoint_of(2));
    const std::string path = folder.path + "/step-2/" + file;
    const auto size = static_cast<int64_t>(fs::file_size(path));
    for (int64_t at = 0; at < size; at += 7) {
      flip_byte(path, at);
      Notes notes;
      const auto loaded = store.load_newest(notes.taker());
      INFO(file << " byte " << at);
      REQUIRE(loaded);
      CHECK(loaded->step == 1);
      CHECK(notes.lines.size() == 1);
      flip_byte(path, at);
    }
    fs::resize_file(path, static_cast<uintmax_t>(size / 2));
    CHECK(store.load_newest([](const std::string&) {})->step == 1);
    fs::remove(path);
    CHECK(store.load_newest([](const std::string&) {})->step == 1);
  }
}

TEST_CASE("Checkpoints: damaged ones of later steps do not push out the one just saved") {
  const Folder folder;
  CheckpointStore store(folder.path, 2, kIdentity);
  store.save(checkpoint_of(1));
  for (const std::string step : {"step-10", "step-9"}) {
    fs::create_directory(folder.path + "/" + step);
  }
  REQUIRE(store.load_newest([](const std::string&) {})->step == 1);
  store.save(checkpoint_of(2));
  CHECK(names_in(folder.path) == std::vector<std::string>{".lock", "step-1", "step-2"});
}

TEST_CASE("Checkpoints: if all are damaged the run does not silently start anew") {
  const Folder folder;
  CheckpointStore store(folder.path, 2, kIdentity);
  store.save(checkpoint_of(3));
  fs::remove(folder.path + "/step-3/MANIFEST.json");
  CHECK_THROWS_AS(store.load_newest([](const std::string&) {}), Error);
}

TEST_CASE("Checkpoints: another recipe or data set is refused by name") {
  const Folder folder;
  {
    CheckpointStore store(folder.path, 2, kIdentity);
    store.save(checkpoint_of(3));
  }
  const CheckpointStore other(folder.path, 2, {{"recipe", "a1"}, {"data", "ff"}});
  CHECK_THROWS_WITH(other.load_newest([](const std::string&) {}),
                    Catch::Matchers::ContainsSubstring("the data must be the one of the run"));
}

TEST_CASE(
    "Checkpoints: a second run in the same folder is refused, and what a crash left is swept") {
  const Folder folder;
  {
    CheckpointStore store(folder.path, 2, kIdentity);
    CHECK_THROWS_WITH(CheckpointStore(folder.path, 2, kIdentity),
                      Catch::Matchers::ContainsSubstring(std::to_string(::getpid())));
  }
  fs::create_directory(folder.path + "/.unfinished-step-4");
  fs::create_directory(folder.path + "/.removed-step-1");
  const CheckpointStore store(folder.path, 2, kIdentity);
  CHECK(names_in(folder.path) == std::vector<std::string>{".lock"});
}

}  // namespace
}  // namespace radgpt
