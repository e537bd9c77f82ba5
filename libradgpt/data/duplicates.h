#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "libradgpt/data/report.h"
#include "libradgpt/data/split.h"

namespace radgpt {

/// The text by which two reports are the same: no white space, full-width Latin letters, digits and
/// punctuation as ASCII, letters in lower case.
std::string normalise_for_comparison(std::string_view text);

/// A text of a data set and the split that it is in.
struct SplitText {
  std::string text;
  Split split = Split::kTrain;
  SourceLine source;
  std::vector<std::string> parts = {};  ///< what it consists of; empty: itself alone
};

/// A held-out text that an earlier split has seen (train before validation before test).
struct Leak {
  SourceLine held_out;
  SourceLine seen;  ///< its first twin in the earliest split that has one
};

/// counts[a][b]: texts of split a that have a twin (another text) in split b.
using TwinCounts = std::array<std::array<int, kSplits>, kSplits>;

/// What find_duplicates has found.
struct Duplicates {
  /// Equal after normalise_for_comparison, or all parts of one are among the other's: a report that
  /// lacks an optional field is a copy of the report that has it.
  TwinCounts exact{};
  /// Not equal, but alike: Jaccard similarity of the sets of character 5-grams >= threshold.
  TwinCounts near{};
  std::vector<Leak> leaks;  ///< exact ones, one for each such text, in the order of texts
};

/// Finds exact and near duplicates within and across splits. Exact, no pair is missed: candidates
/// come from an index of each text's rarest 5-grams (prefix filtering, Bayardo et al., "Scaling up
/// all pairs similarity search", WWW 2007), and each is then compared in full.
/// A threshold of 0 leaves near duplicates out. Throws Error(kInput) unless it is in [0, 1].
Duplicates find_duplicates(const std::vector<SplitText>& texts, double threshold);

/// Places of the texts that a later split has too, exactly: without them there are no leaks.
std::vector<size_t> find_seen(const std::vector<SplitText>& texts);

}  // namespace radgpt
