#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "libradgpt/data/conversation_reader.h"
#include "libradgpt/data/duplicates.h"
#include "libradgpt/data/example.h"
#include "libradgpt/data/report_reader.h"
#include "libradgpt/data/token_dataset.h"

namespace radgpt {

/// What becomes of a text that a later split holds out too, exactly (train before validation before
/// test).
enum class SeenTexts {
  kKeep,  ///< it stays, to be found by find_duplicates
  kDrop,  ///< its report is left out of the earlier split
};

/// Everything that decides what is learnt and what is held out.
struct CorpusOptions {
  std::vector<ReportSource> reports;
  std::vector<ConversationSource> conversations;
  SplitOptions split;
  std::vector<Task> tasks;
  std::vector<std::string> train_centres;  ///< reports of others stay out of train; empty = all
  int64_t limit = 0;                       ///< reports of each file and split; 0 = all
  SeenTexts seen_texts = SeenTexts::kKeep;
};

/// One split: reports, and their examples report by report.
struct CorpusPart {
  std::vector<Report> reports;
  std::vector<Example> examples;  ///< Example::report counts in `reports` of this part
  std::vector<Conversation> conversations;
};

/// What a file gave, before seen texts are dropped.
struct SourceCounts {
  std::string path;
  std::array<int, kSplits> reports{};  ///< or conversations
  std::array<int, kSplits> patients{};
  std::vector<std::string> bad_lines;
};

/// All reports and conversations by split, with their examples.
struct Corpus {
  std::array<CorpusPart, kSplits> parts;
  std::vector<SourceCounts> sources;   ///< reports, then conversations, in the order of options
  std::array<int, kSplits> dropped{};  ///< reports and conversations, by SeenTexts::kDrop

  const CorpusPart& part(Split split) const { return parts[static_cast<size_t>(split)]; }
};

/// Reads all sources, splits them by patient and makes the examples. A patient is one whatever file
/// or centre names it, except where a source has no patients (each report is its own).
/// Throws Error(kInput) as the readers do, for a patient in two splits (files that fix different
/// ones), for a task that no report has the fields or labels for, for a training centre that no
/// report is from, and for a hashed split that was to get a share but got nothing. The texts by
/// which reports are the same: see find_duplicates below.
Corpus read_corpus(const CorpusOptions& options);

/// The examples and conversations of one split as ids: what trainer and evaluator work on.
TokenDataset tokenize(const CorpusPart& part, const Tokenizer& tokenizer,
                      const LengthOptions& options);

/// Exact and near duplicates by the text that a report's examples hold, contexts and written
/// answers, and by the turns of a conversation; a report that lacks some of these texts and adds
/// none is a copy too. Leaks are left to the caller to refuse.
Duplicates find_duplicates(const Corpus& corpus, double threshold);

/// Throws Error(kInput) naming file and line of the first held-out text that an earlier split has
/// too, and how many there are.
void require_no_leaks(const Duplicates& duplicates);

/// What the model reads and writes in training, for training a tokenizer.
std::vector<std::string> training_texts(const Corpus& corpus);

}  // namespace radgpt
