// A run is traced, and after every call that has changed something the power fails.

#include <filesystem>
#include <functional>
#include <iostream>
#include <string>

#include "tests/base/seed.h"
#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "tests/checkpoint/disk_model.h"
#include "tests/checkpoint/saving_run.h"
#include "tests/checkpoint/small_checkpoint.h"

namespace radgpt {
namespace {

/// Random losses of names and bytes that are tried at each point.
constexpr uint32_t kDraws = 4;

/// Given a folder after a power cut, and what had been reported before.
using Check = std::function<void(const std::string&, const std::string&)>;

/// Cuts the power in every way; gives the number of ways.
int64_t cut_power(const DiskModel& disk, const std::string& reports, uint64_t seed,
                  const Check& check) {
  int64_t cuts = 0;
  const auto cut = [&](DiskModel::Loss loss, uint32_t draw) {
    const TemporaryFolder folder(place_in_memory());
    INFO("loss " << static_cast<int>(loss) << ", draw " << draw << ", reported: " << reports);
    disk.rebuild(folder.file("run"), loss, Random(seed, RandomStream::kSampling, 0, draw));
    check(folder.file("run"), reports);
    ++cuts;
  };
  cut(DiskModel::Loss::kEverything, 0);
  cut(DiskModel::Loss::kBytes, 0);
  for (uint32_t draw = 0; draw < kDraws; ++draw) cut(DiskModel::Loss::kAnything, draw);
  return cuts;
}

/// Does work in `folder` and cuts the power whenever that has changed; gives the number of points.
int64_t cut_everywhere(const std::string& folder, const TracedProcess::Work& work,
                       const Check& check) {
  const uint64_t seed = chosen_seed("Power cuts");
  INFO("RADGPT_TEST_SEED=" << seed);
  DiskModel disk(folder);
  TracedProcess process(work);
  int64_t points = 0, cuts = 0;
  while (process.next()) {
    const std::string call = process.call();
    const std::string synced = call == "fsync" ? process.path() : "";
    process.finish();
    const bool changed = disk.look();
    if (!synced.empty() && synced.starts_with(folder)) disk.make_durable(synced);
    if (!changed && synced.empty()) continue;
    INFO(call << " " << synced << ", point " << ++points);
    cuts += cut_power(disk, process.reports(), seed + static_cast<uint64_t>(points), check);
  }
  CHECK(process.exit_code() == 0);
  std::cout << "Power cuts: " << cuts << " at " << points << " points\n";
  return points;
}

TEST_CASE("Power cuts: what was reported as saved is there, whatever was not made durable") {
  if (tracing_is_skipped()) return;
  const TemporaryFolder folder(place_in_memory());
  const std::string run = folder.file("run");
  prepare_saving_run(run);
  const auto work = [&](const TracedProcess::Report& report) { return saving_run(run, report); };
  CHECK(cut_everywhere(run, work, check_folder) > 40);
}

TEST_CASE("Power cuts: the first checkpoint is there with the folders that were made for it") {
  if (tracing_is_skipped()) return;
  const TemporaryFolder folder(place_in_memory());
  const auto work = [&](const TracedProcess::Report& report) {
    CheckpointStore(folder.file("run/checkpoints"), 1, kIdentity).save(small_checkpoint(1));
    report("saved 1");
    // One more change, as the last point must see the report.
    return std::filesystem::create_directory(folder.file("after")) ? 0 : 1;
  };
  const auto check = [](const std::string& after, const std::string& reports) {
    const CheckpointStore store(after + "/run/checkpoints", 1, kIdentity);
    const auto loaded = store.load_newest([](const std::string&) {});
    CHECK((loaded || !reports_step(reports, 1)));
    if (loaded) CHECK(is_whole(*loaded));
  };
  CHECK(cut_everywhere(folder.path(), work, check) > 15);
}

}  // namespace
}  // namespace radgpt
