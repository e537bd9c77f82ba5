#pragma once

#include <bitset>
#include <string_view>
#include <vector>

#include "libradgpt/data/split.h"

namespace radgpt {

/// Splits, by their index.
using SplitSet = std::bitset<kSplits>;

/// A text and the splits that hold it.
struct NearText {
  std::u32string_view text;
  SplitSet splits;
};

/// For each text the splits that hold another one whose set of character 5-grams has a Jaccard
/// similarity of at least `threshold`, in (0, 1], with its own. (A text below five characters is
/// one gram.) None is missed: see find_duplicates. The texts must differ.
std::vector<SplitSet> find_near_splits(const std::vector<NearText>& texts, double threshold);

}  // namespace radgpt
