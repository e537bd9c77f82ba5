#include "tests/simt/waiting.h"

#include <algorithm>
#include <vector>

#include "libradgpt/base/error.h"

namespace simt {

using radgpt::concat;

namespace {

const char* name(Wait wait) {
  switch (wait) {
    case Wait::kBarrier:
      return "barrier";
    case Wait::kWarpBarrier:
      return "warp_barrier";
    case Wait::kShuffle:
      return "shuffle";
    case Wait::kTranspose:
      return "transpose_8x8";
    case Wait::kMultiplyAdd:
      return "multiply_add";
    default:
      return "end";
  }
}

bool alike(const Waiting& a, const Waiting& b) {
  return a.wait == b.wait && (a.wait == Wait::kEnd || same_place(a.where, b.where));
}

}  // namespace

bool all_alike(std::span<const Waiting> threads) {
  return std::all_of(threads.begin(), threads.end(),
                     [&](const Waiting& thread) { return alike(thread, threads[0]); });
}

std::string divergence(std::span<const Waiting> threads, int all, const std::string& who) {
  struct Group {
    Waiting waiting;
    int count;
  };
  std::vector<Group> groups;
  for (const Waiting& thread : threads) {
    const auto group = std::find_if(groups.begin(), groups.end(), [&](const Group& other) {
      return alike(other.waiting, thread);
    });
    if (group != groups.end()) {
      ++group->count;
    } else {
      groups.push_back({thread, 1});
    }
  }
  std::stable_partition(groups.begin(), groups.end(),
                        [](const Group& group) { return group.waiting.wait != Wait::kEnd; });
  std::string text = concat(name(groups[0].waiting.wait), " in ", who, ": ");
  for (size_t i = 0; i < groups.size(); ++i) {
    const auto& [waiting, count] = groups[i];
    text += i == 0 ? concat(count, " of ", all, " threads") : concat(", ", count);
    text += waiting.wait == Wait::kEnd
                ? " have ended"
                : concat(" reached ", place(waiting.where), " (", name(waiting.wait), ")");
  }
  return text;
}

}  // namespace simt
