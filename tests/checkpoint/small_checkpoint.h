#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "libradgpt/checkpoint/checkpoint_store.h"

namespace radgpt {

inline const Identity kIdentity = {{"recipe", "a1"}, {"base", "b2"}, {"data", "c3"}};

/// A few numbers that differ from step to step.
Checkpoint small_checkpoint(int64_t step, Checkpoint::Mark mark = Checkpoint::Mark::kNone);

/// Whether `checkpoint` is small_checkpoint of its step, to the bit.
bool is_whole(const Checkpoint& checkpoint);

/// Takes the notes of CheckpointStore::load_newest.
struct Notes {
  std::vector<std::string> lines;
  auto taker() {
    return [this](const std::string& line) { lines.push_back(line); };
  }
};

/// Names of the entries of a folder, sorted.
std::vector<std::string> names_in(const std::string& folder);

/// Copies a folder with all in it to a place where nothing is.
void copy_folder(const std::string& from, const std::string& to);

/// What is wrong with the folders step-N of a store, one line each; empty if all verify and hold
/// what small_checkpoint gives.
std::string faults_of_steps(const std::string& folder);

}  // namespace radgpt
