// Disks that are really full: a tmpfs of few bytes, or of few files.

#include <sched.h>
#include <sys/mount.h>
#include <torch/types.h>

#include <iostream>
#include <regex>
#include <string>
#include <thread>

#include "libradgpt/base/error.h"
#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "tests/checkpoint/small_checkpoint.h"

namespace radgpt {
namespace {

struct Filled {
  bool mounted = false;
  int64_t saved = 0;   ///< steps until the error, which keep them all
  int64_t loaded = 0;  ///< step of the newest one afterwards, 0 if there is none
  std::string error;   ///< with the exit code in front
  std::string faults;  ///< of what is there afterwards
};

Checkpoint checkpoint_of(int64_t step) {
  Checkpoint checkpoint = small_checkpoint(step);
  checkpoint.tensors["parameters"] = at::full({10'000}, static_cast<double>(step), at::kFloat);
  return checkpoint;
}

/// Saves until the disk is full, four times at most.
void fill(const std::string& folder, Filled& filled) {
  try {
    CheckpointStore store(folder, 4, kIdentity);
    try {
      for (int64_t step = 1; step <= 4; ++step) {
        store.save(checkpoint_of(step));
        filled.saved = step;
      }
    } catch (const Error& error) {
      filled.error = concat(error.exit_code(), " ", error.what());
    }
    Notes notes;
    const auto loaded = store.load_newest(notes.taker());
    if (loaded) filled.loaded = loaded->step;
    for (const std::string& note : notes.lines) filled.faults += note + "\n";
    for (const std::string& name : names_in(folder)) {
      if (name.starts_with(".unfinished")) filled.faults += name + "\n";
    }
  } catch (const Error& error) {
    filled.error = concat(error.exit_code(), " ", error.what());
  }
}

/// In a thread of its own, whose mounts nobody else sees and which are gone with it.
Filled fill_disk(const std::string& options) {
  const TemporaryFolder folder;
  Filled filled;
  std::thread([&] {
    filled.mounted = unshare(CLONE_NEWNS) == 0 &&
                     mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                     mount("none", folder.path().c_str(), "tmpfs", 0, options.c_str()) == 0;
    if (filled.mounted) fill(folder.path(), filled);
  }).join();
  return filled;
}

/// Runs on twenty disks, each larger than the one before, and checks what is the same on all.
template <typename Options>
void fill_disks(const Options& options_of, const std::regex& error) {
  at::set_num_threads(1);
  int64_t failed = 0, saved = 0;
  for (int64_t disk = 0; disk < 20; ++disk) {
    const std::string options = options_of(disk);
    INFO(options);
    const Filled filled = fill_disk(options);
    if (!filled.mounted) {
      std::cout << "skipped: no right to mount\n";
      return;
    }
    INFO(filled.error);
    CHECK((filled.saved == 4 || std::regex_match(filled.error, error)));
    CHECK(filled.loaded == filled.saved);
    CHECK(filled.faults == "");
    failed += filled.saved < 4;
    saved += filled.saved;
  }
  CHECK(failed >= 10);
  CHECK(failed < 20);
  std::cout << "Small disks: " << failed << " of 20 full, " << saved << " checkpoints saved\n";
}

TEST_CASE("Small disks: one with few bytes is refused with bytes needed and free") {
  fill_disks([](int64_t disk) { return concat("size=", 16 + 12 * disk, "k"); },
             std::regex("4 .*/step-[1-4]/state.safetensors: needs 62[0-9]{3} bytes, [0-9]+ bytes "
                        "free"));
}

TEST_CASE("Small disks: one with room for few files leaves the checkpoints before the error") {
  fill_disks([](int64_t disk) { return concat("size=1m,nr_inodes=", 1 + disk); },
             std::regex("4 .*: cannot be (made|created|opened): No space left on device.*"));
}

}  // namespace
}  // namespace radgpt
