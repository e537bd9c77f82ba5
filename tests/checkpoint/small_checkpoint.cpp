#include "tests/checkpoint/small_checkpoint.h"

#include <torch/types.h>

#include <algorithm>
#include <filesystem>
#include <limits>

#include "libradgpt/base/error.h"
#include "tests/base/temporary_folder.h"

namespace radgpt {

namespace fs = std::filesystem;

Checkpoint small_checkpoint(int64_t step, Checkpoint::Mark mark) {
  Checkpoint checkpoint;
  checkpoint.step = step;
  checkpoint.mark = mark;
  checkpoint.best_loss = std::numeric_limits<double>::infinity();
  checkpoint.counters = {{"epoch", 1}, {"position", step}};
  checkpoint.facts = {{"ranks", "2"}};
  checkpoint.tensors = {{"parameters", at::arange(5, at::kFloat) + static_cast<double>(step)},
                        {"second_moment", at::full({5}, 0.25 * static_cast<double>(step))}};
  return checkpoint;
}

bool is_whole(const Checkpoint& checkpoint) {
  const Checkpoint expected = small_checkpoint(checkpoint.step, checkpoint.mark);
  if (checkpoint.counters != expected.counters || checkpoint.best_loss != expected.best_loss ||
      checkpoint.tensors.size() != expected.tensors.size()) {
    return false;
  }
  return std::all_of(expected.tensors.begin(), expected.tensors.end(), [&](const auto& tensor) {
    const auto found = checkpoint.tensors.find(tensor.first);
    return found != checkpoint.tensors.end() && at::equal(found->second, tensor.second);
  });
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

void copy_folder(const std::string& from, const std::string& to) {
  fs::copy(from, to, fs::copy_options::recursive);
}

std::string faults_of_steps(const std::string& folder) {
  std::string faults;
  for (const std::string& name : names_in(folder)) {
    if (!name.starts_with("step-")) continue;
    const TemporaryFolder alone(fs::path(folder).parent_path());  // the newest and only one there
    copy_folder(folder + "/" + name, alone.file(name));
    Notes notes;
    try {
      const auto loaded = CheckpointStore(alone.path(), 1, kIdentity).load_newest(notes.taker());
      if (!is_whole(*loaded)) faults += name + " holds something else\n";
    } catch (const Error& error) {
      faults += concat(error.what(), "\n");
    }
    for (const std::string& note : notes.lines) faults += note + "\n";
  }
  return faults;
}

}  // namespace radgpt
