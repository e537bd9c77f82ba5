// A run is traced, and after every call that has changed something the power fails.

#include <filesystem>
#include <iostream>
#include <string>

#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "tests/checkpoint/disk_model.h"
#include "tests/checkpoint/saving_run.h"
#include "tests/checkpoint/seed.h"

namespace radgpt {
namespace {

/// Random losses of names and bytes that are tried at each point.
constexpr uint32_t kDraws = 4;

/// Cuts the power in every way; gives the number of ways.
int64_t cut_power(const DiskModel& disk, const std::string& reports, uint64_t seed) {
  int64_t cuts = 0;
  const auto cut = [&](DiskModel::Loss loss, uint32_t draw) {
    const TemporaryFolder folder(place_in_memory());
    INFO("loss " << static_cast<int>(loss) << ", draw " << draw << ", reported: " << reports);
    disk.rebuild(folder.file("run"), loss, Random(seed, RandomStream::kSampling, 0, draw));
    check_folder(folder.file("run"), reports);
    ++cuts;
  };
  cut(DiskModel::Loss::kEverything, 0);
  cut(DiskModel::Loss::kBytes, 0);
  for (uint32_t draw = 0; draw < kDraws; ++draw) cut(DiskModel::Loss::kAnything, draw);
  return cuts;
}

TEST_CASE("Power cuts: what was reported as saved is there, whatever was not made durable") {
  if (tracing_is_skipped()) return;
  const uint64_t seed = chosen_seed("Power cuts");
  INFO("RADGPT_TEST_SEED=" << seed);
  const TemporaryFolder folder(place_in_memory());
  const std::string run = folder.file("run");
  prepare_saving_run(run);
  DiskModel disk(run);
  TracedProcess process(
      [&](const TracedProcess::Report& report) { return saving_run(run, report); });
  int64_t points = 0, cuts = 0;
  while (process.next()) {
    const std::string call = process.call();
    const std::string synced = call == "fsync" ? process.path() : "";
    process.finish();
    const bool changed = disk.look();
    if (!synced.empty()) disk.make_durable(synced);
    if (!changed && synced.empty()) continue;
    INFO(call << " " << synced << ", point " << ++points);
    cuts += cut_power(disk, process.reports(), seed + static_cast<uint64_t>(points));
  }
  CHECK(process.exit_code() == 0);
  CHECK(points > 40);
  std::cout << "Power cuts: " << cuts << " at " << points << " points\n";
}

}  // namespace
}  // namespace radgpt
