#include "libradgpt/checkpoint/checkpoint_store.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <torch/types.h>
#include <torch/version.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <regex>
#include <string>
#include <vector>

#include "libradgpt/base/error.h"
#include "libradgpt/base/version.h"
#include "tests/base/temporary_folder.h"
#include "tests/base/without_privileges.h"
#include "tests/catch.h"
#include "tests/checkpoint/small_checkpoint.h"

namespace radgpt {
namespace {

namespace fs = std::filesystem;

void flip_byte(const std::string& path, int64_t at) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(at);
  const char byte = static_cast<char>(file.get());
  file.seekp(at);
  file.put(static_cast<char>(byte ^ 0x10));
}

TEST_CASE("Checkpoints: what was saved is loaded, to the bit") {
  const TemporaryFolder folder;
  CheckpointStore store(folder.path(), 2, kIdentity);
  store.save(small_checkpoint(7));
  Notes notes;
  const auto loaded = store.load_newest(notes.taker());
  REQUIRE(loaded);
  CHECK(loaded->step == 7);
  CHECK(loaded->best_loss == std::numeric_limits<double>::infinity());
  CHECK(loaded->counter("position") == 7);
  const at::Tensor expected = small_checkpoint(7).tensors["parameters"];
  CHECK(at::equal(loaded->tensor("parameters", expected), expected));
  CHECK(notes.lines.empty());
  CHECK_THROWS_WITH(loaded->tensor("parameters", at::ones({6})),
                    "checkpoint of step 7: tensor parameters must have 6 elements, got 5");
}

TEST_CASE("Checkpoints: the newest are kept, and nothing half done stays") {
  const TemporaryFolder folder;
  CheckpointStore store(folder.path(), 2, kIdentity);
  for (const int64_t step : {1, 2, 9, 10}) store.save(small_checkpoint(step));
  CHECK(names_in(folder.path()) == std::vector<std::string>{".lock", "step-10", "step-9"});
  CHECK(store.load_newest([](const std::string&) {})->step == 10);
  CHECK(newest_checkpoint(folder.path()) == 10);
}

TEST_CASE("Checkpoints: an empty folder has none") {
  const TemporaryFolder folder;
  const CheckpointStore store(folder.path(), 2, kIdentity);
  CHECK_FALSE(store.load_newest([](const std::string&) {}));
  CHECK(newest_checkpoint(folder.path()) == 0);
  CHECK(newest_checkpoint(folder.path() + "/none") == 0);
}

TEST_CASE("Checkpoints: any damage is found, said, and the one before is used") {
  const TemporaryFolder folder;
  CheckpointStore store(folder.path(), 9, kIdentity);
  store.save(small_checkpoint(1));
  for (const std::string file : {"state.safetensors", "MANIFEST.json"}) {
    store.save(small_checkpoint(2));
    const std::string path = folder.path() + "/step-2/" + file;
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
  const TemporaryFolder folder;
  CheckpointStore store(folder.path(), 2, kIdentity);
  store.save(small_checkpoint(1));
  for (const std::string step : {"step-10", "step-9"}) {
    fs::create_directory(folder.path() + "/" + step);
  }
  REQUIRE(store.load_newest([](const std::string&) {})->step == 1);
  store.save(small_checkpoint(2));
  CHECK(names_in(folder.path()) == std::vector<std::string>{".lock", "step-1", "step-2"});
}

TEST_CASE("Checkpoints: if all are damaged the run does not silently start anew") {
  const TemporaryFolder folder;
  CheckpointStore store(folder.path(), 2, kIdentity);
  store.save(small_checkpoint(3));
  fs::remove(folder.path() + "/step-3/MANIFEST.json");
  CHECK_THROWS_WITH(store.load_newest([](const std::string&) {}),
                    folder.path() +
                        ": none of 1 checkpoints can be used, so nothing to resume from; the "
                        "newest: " +
                        folder.file("step-3/MANIFEST.json") + ": no such file");
}

TEST_CASE("Checkpoints: another recipe or data set is refused by name") {
  const TemporaryFolder folder;
  {
    CheckpointStore store(folder.path(), 2, kIdentity);
    store.save(small_checkpoint(3));
  }
  const CheckpointStore other(folder.path(), 2, {{"recipe", "a1"}, {"data", "ff"}});
  CHECK_THROWS_WITH(other.load_newest([](const std::string&) {}),
                    Catch::Matchers::ContainsSubstring("the data must be the one of the run"));
}

TEST_CASE("Checkpoints: the newest marked best is kept beside the newest") {
  const TemporaryFolder folder;
  CheckpointStore store(folder.path(), 2, kIdentity);
  const auto save = [&](int64_t step, Checkpoint::Mark mark) {
    store.save(small_checkpoint(step, mark));
  };
  save(1, Checkpoint::Mark::kBest);
  save(2, Checkpoint::Mark::kBest);
  for (const int64_t step : {3, 9, 10, 11}) save(step, Checkpoint::Mark::kNone);
  CHECK(names_in(folder.path()) ==
        std::vector<std::string>{".lock", "step-10", "step-11", "step-2"});
  save(12, Checkpoint::Mark::kBest);
  CHECK(names_in(folder.path()) == std::vector<std::string>{".lock", "step-11", "step-12"});
  CHECK(store.load_newest([](const std::string&) {})->mark == Checkpoint::Mark::kBest);
}

TEST_CASE("Checkpoints: facts are given back and bind nobody") {
  const TemporaryFolder folder;
  CheckpointStore store(folder.path(), 2, kIdentity);
  Checkpoint checkpoint = small_checkpoint(1);
  checkpoint.facts = {{"ranks", "4"}, {"device", "not UTF-8: \xff"}};
  store.save(checkpoint);
  const auto loaded = store.load_newest([](const std::string&) {});
  CHECK(loaded->facts.at("ranks") == "4");
  CHECK(loaded->facts.at("device") == "not UTF-8: \xEF\xBF\xBD");
  CHECK(loaded->facts.at("libtorch") == TORCH_VERSION);
  CHECK(loaded->facts.at("libradgpt") == version());
}

TEST_CASE("Checkpoints: what is not finite is not saved, and what was before stays") {
  const TemporaryFolder folder;
  CheckpointStore store(folder.path(), 1, kIdentity);
  store.save(small_checkpoint(1));
  Checkpoint checkpoint = small_checkpoint(2);
  checkpoint.tensors["second_moment"][4] = std::nanf("");
  CHECK_THROWS_WITH(store.save(checkpoint), "checkpoint: second_moment must be finite to be saved");
  CHECK(names_in(folder.path()) == std::vector<std::string>{".lock", "step-1"});
}

TEST_CASE("Checkpoints: one that the disk has no room for is refused before anything is written") {
  constexpr size_t kBytes = size_t{1} << 46;  // 64 TiB of addresses, none of them touched
  void* memory =
      mmap(nullptr, kBytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  const TemporaryFolder folder;
  CheckpointStore store(folder.path(), 1, kIdentity);
  Checkpoint checkpoint = small_checkpoint(2);
  checkpoint.tensors = {
      {"parameters", at::from_blob(memory, {static_cast<int64_t>(kBytes / 4)}, at::kFloat)}};
  try {
    store.save(checkpoint);
    FAIL("saved");
  } catch (const Error& error) {
    CHECK(error.exit_code() == 4);
    CHECK(std::regex_match(error.what(),
                           std::regex(folder.file("step-2/state.safetensors") +
                                      ": needs 77405618613452 bytes, [0-9]+ bytes free")));
  }
  munmap(memory, kBytes);
  CHECK(names_in(folder.path()) == std::vector<std::string>{".lock"});
}

TEST_CASE("Checkpoints: files and folders are their owner's alone") {
  const TemporaryFolder folder;
  CheckpointStore store(folder.file("run/checkpoints"), 1, kIdentity);
  store.save(small_checkpoint(1));
  int entries = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder.path())) {
    INFO(entry.path());
    CHECK((entry.status().permissions() & (fs::perms::group_all | fs::perms::others_all)) ==
          fs::perms::none);
    ++entries;
  }
  CHECK(entries == 6);  // run, checkpoints, .lock, step-1 and its two files
}

TEST_CASE("Checkpoints: a second run in the same folder is refused with the owner's name") {
  const TemporaryFolder folder;
  const CheckpointStore store(folder.path(), 2, kIdentity);
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  const std::string in_use = folder.path() + ": must be used by one run at a time, is in use by ";
  CHECK_THROWS_WITH(CheckpointStore(folder.path(), 2, kIdentity),
                    concat(in_use, "process ", getpid(), " on ", host));
  folder.write(".lock", "");
  CHECK_THROWS_WITH(CheckpointStore(folder.path(), 2, kIdentity), in_use + "an unknown process");
  folder.write(".lock", "12 on host\nsomething else");
  CHECK_THROWS_WITH(CheckpointStore(folder.path(), 2, kIdentity), in_use + "process 12 on host");
}

TEST_CASE("Checkpoints: a run whose folder was replaced under it does not write into the new one") {
  const TemporaryFolder folder;
  CheckpointStore store(folder.file("run"), 2, kIdentity);
  fs::remove_all(folder.file("run"));
  const CheckpointStore other(folder.file("run"), 2, kIdentity);
  CHECK_THROWS_WITH(store.save(small_checkpoint(1)),
                    Catch::Matchers::ContainsSubstring("the folder was removed or replaced"));
  CHECK(names_in(folder.file("run")) == std::vector<std::string>{".lock"});
}

TEST_CASE("Checkpoints: what a crash left is swept, links without what they lead to") {
  const TemporaryFolder folder, outside;
  outside.write("kept", "");
  fs::create_directory(folder.file(".unfinished-step-4"));
  fs::create_directory(folder.file(".removed-step-1"));
  fs::create_symlink(outside.path(), folder.file(".removed-step-1/link"));
  fs::create_symlink(outside.path(), folder.file(".removed-step-2"));
  fs::create_symlink(outside.path(), folder.file("step-7"));
  CheckpointStore store(folder.path(), 1, kIdentity);
  CHECK(names_in(folder.path()) == std::vector<std::string>{".lock", "step-7"});
  // And what a failed save of this run left.
  fs::create_directory(folder.file(".unfinished-step-1"));
  folder.write(".unfinished-step-1/state.safetensors", "half");
  fs::create_symlink(outside.path(), folder.file(".removed-step-7"));
  store.save(small_checkpoint(1));
  CHECK(names_in(folder.path()) == std::vector<std::string>{".lock", "step-1"});
  CHECK(outside.entry_count() == 1);
}

TEST_CASE("Checkpoints: leftovers that cannot be removed are said") {
  const TemporaryFolder folder;
  chmod(folder.path().c_str(), 0777);
  fs::create_directory(folder.file(".removed-step-1"));
  folder.write(".removed-step-1/file", "");
  chmod(folder.file(".removed-step-1").c_str(), 0500);
  {
    const WithoutPrivileges guard;
    CHECK_THROWS_WITH(CheckpointStore(folder.path(), 1, kIdentity),
                      Catch::Matchers::ContainsSubstring("cannot be removed"));
  }
  chmod(folder.file(".removed-step-1").c_str(), 0700);
}

}  // namespace
}  // namespace radgpt
