#include "libradgpt/data/corpus.h"

#include <algorithm>
#include <map>
#include <set>

#include "libradgpt/base/error.h"

namespace radgpt {
namespace {

constexpr std::array<Split, kSplits> kAllSplits = {Split::kTrain, Split::kValidation, Split::kTest};

size_t index(Split split) { return static_cast<size_t>(split); }

/// The examples of one report stand together: calls visit(first, last) for each report.
template <typename Visit>
void for_each_report(const std::vector<Example>& examples, Visit visit) {
  for (size_t begin = 0; begin < examples.size();) {
    size_t end = begin + 1;
    while (end < examples.size() && examples[end].report == examples[begin].report) ++end;
    visit(begin, end);
    begin = end;
  }
}

/// What the report of examples [begin, end) gives the model, once each: contexts and written
/// answers. (Labels are left out: a label may change where the text does not.)
std::set<std::string> report_texts(const std::vector<Example>& examples, size_t begin, size_t end) {
  std::set<std::string> result;
  for (size_t i = begin; i < end; ++i) {
    result.insert(examples[i].context);
    if (examples[i].label < 0) result.insert(examples[i].answer);
  }
  return result;
}

/// The texts that are compared: one a report that has examples, one a conversation.
std::vector<SplitText> comparable_texts(const Corpus& corpus) {
  std::vector<SplitText> texts;
  for (const Split split : kAllSplits) {
    const CorpusPart& part = corpus.part(split);
    for_each_report(part.examples, [&](size_t begin, size_t end) {
      const auto report = static_cast<size_t>(part.examples[begin].report);
      SplitText text{"", split, part.reports[report].source};
      for (const std::string& part_text : report_texts(part.examples, begin, end)) {
        if (normalise_for_comparison(part_text).empty()) continue;
        text.text += part_text + "\n";
        text.parts.push_back(part_text);
      }
      texts.push_back(std::move(text));
    });
    for (const Conversation& conversation : part.conversations) {
      SplitText text{"", split, conversation.source};
      for (const Turn& turn : conversation.turns) text.text += turn.text + "\n";
      texts.push_back(std::move(text));
    }
  }
  return texts;
}

/// Fills a Corpus file by file.
class CorpusReader {
 public:
  explicit CorpusReader(const CorpusOptions& options) : options_(options) {}

  void add(const ReportSource& source) {
    ReportFile file = read_reports(source);
    SourceCounts counts{source.path, {}, {}, std::move(file.bad_lines)};
    std::array<std::set<std::string>, kSplits> patients;
    for (Report& report : file.reports) {
      const Split split = source.split ? *source.split : split_of(report.patient, options_.split);
      note_hashed(source.split.has_value(), split);
      if (!source.patient_field.empty()) note_patient(report, split);
      centres_.insert(report.centre);
      int& count = counts.reports[index(split)];
      if (is_full(count) || !is_wanted(report, split)) continue;
      ++count;
      patients[index(split)].insert(report.patient);
      corpus_.parts[index(split)].reports.push_back(std::move(report));
    }
    for (size_t i = 0; i < kSplits; ++i) counts.patients[i] = static_cast<int>(patients[i].size());
    corpus_.sources.push_back(std::move(counts));
  }

  void add(const ConversationSource& source) {
    ConversationFile file = read_conversations(source);
    SourceCounts counts{source.path, {}, {}, std::move(file.bad_lines)};
    for (Conversation& conversation : file.conversations) {
      const Split split =
          source.split ? *source.split : split_of(conversation.subject, options_.split);
      note_hashed(source.split.has_value(), split);
      int& count = counts.reports[index(split)];
      if (is_full(count)) continue;
      ++count;
      corpus_.parts[index(split)].conversations.push_back(std::move(conversation));
    }
    corpus_.sources.push_back(std::move(counts));
  }

  Corpus finish() {
    check_centres();
    check_hashed();
    for (CorpusPart& part : corpus_.parts) {
      part.examples = make_examples(part.reports, options_.tasks);
    }
    check_tasks();
    if (options_.seen_texts == SeenTexts::kDrop) drop_seen();
    return std::move(corpus_);
  }

 private:
  bool is_full(int count) const { return options_.limit > 0 && count >= options_.limit; }

  bool is_wanted(const Report& report, Split split) const {
    const auto& centres = options_.train_centres;
    return split != Split::kTrain || centres.empty() ||
           std::find(centres.begin(), centres.end(), report.centre) != centres.end();
  }

  void note_hashed(bool is_fixed, Split split) {
    if (!is_fixed) ++hashed_[index(split)];
  }

  void note_patient(const Report& report, Split split) {
    const auto [first, is_new] = patients_.try_emplace(report.patient, split, report.source);
    const auto& [other, source] = first->second;
    require(is_new || other == split, report.source.file, ":", report.source.line,
            ": patient must be in one split, got one in ", split_name(split), " who is in ",
            split_name(other), " at ", source.file, ":", source.line);
  }

  void check_centres() const {
    for (const std::string& centre : options_.train_centres) {
      require(centres_.count(centre) > 0,
              "data.train_centres: must be centres of the reports, got ", centre);
    }
  }

  void check_hashed() const {
    const int total = hashed_[0] + hashed_[1] + hashed_[2];
    if (total == 0) return;
    const auto& [salt, validation, test] = options_.split;
    const std::array<double, kSplits> shares = {1 - validation - test, validation, test};
    for (const Split split : kAllSplits) {
      require(hashed_[index(split)] > 0 || shares[index(split)] <= 0, "split: ", split_name(split),
              " must get about ", shares[index(split)], " of the patients, got none of ", total,
              " report(s)");
    }
  }

  void check_tasks() const {
    const bool has_reports = !options_.reports.empty();
    std::vector<bool> is_used(options_.tasks.size(), !has_reports);
    for (const CorpusPart& part : corpus_.parts) {
      for (const Example& example : part.examples) {
        is_used[static_cast<size_t>(example.task)] = true;
      }
    }
    for (size_t task = 0; task < is_used.size(); ++task) {
      require(is_used[task], "task ", options_.tasks[task].name,
              ": its fields and labels must stand in some report, got none that has them all");
    }
  }

  void drop_seen() {
    using Place = std::pair<std::string, int>;
    std::array<std::set<Place>, kSplits> seen;
    const std::vector<SplitText> texts = comparable_texts(corpus_);
    for (const size_t i : find_seen(texts)) {
      seen[index(texts[i].split)].emplace(texts[i].source.file, texts[i].source.line);
    }
    for (size_t i = 0; i < kSplits; ++i) {
      const auto is_seen = [&places = seen[i]](const auto& record) {
        return places.count({record.source.file, record.source.line}) > 0;
      };
      CorpusPart& part = corpus_.parts[i];
      const size_t dropped =
          std::erase_if(part.reports, is_seen) + std::erase_if(part.conversations, is_seen);
      corpus_.dropped[i] = static_cast<int>(dropped);
      part.examples = make_examples(part.reports, options_.tasks);
    }
  }

  const CorpusOptions& options_;
  Corpus corpus_;
  std::map<std::string, std::pair<Split, SourceLine>> patients_;
  std::set<std::string> centres_;
  std::array<int, kSplits> hashed_{};  // reports and conversations split by hash
};

}  // namespace

Corpus read_corpus(const CorpusOptions& options) {
  CorpusReader reader(options);
  for (const ReportSource& source : options.reports) reader.add(source);
  for (const ConversationSource& source : options.conversations) reader.add(source);
  return reader.finish();
}

TokenDataset tokenize(const CorpusPart& part, const Tokenizer& tokenizer,
                      const LengthOptions& options) {
  TokenDataset dataset = tokenize_examples(part.examples, part.reports, tokenizer, options);
  append(dataset, tokenize_conversations(part.conversations, tokenizer, options));
  return dataset;
}

Duplicates find_duplicates(const Corpus& corpus, double threshold) {
  return find_duplicates(comparable_texts(corpus), threshold);
}

void require_no_leaks(const Duplicates& duplicates) {
  if (duplicates.leaks.empty()) return;
  const auto& [held_out, seen] = duplicates.leaks.front();
  fail(ErrorKind::kInput, held_out.file, ":", held_out.line,
       ": a held-out text must not stand in an earlier split, got the text of ", seen.file, ":",
       seen.line, "; ", duplicates.leaks.size(),
       " text(s) are such duplicates (data.duplicates: drop leaves the earlier copies out)");
}

std::vector<std::string> training_texts(const Corpus& corpus) {
  const CorpusPart& part = corpus.part(Split::kTrain);
  std::vector<std::string> texts;
  for_each_report(part.examples, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      const Example& example = part.examples[i];
      const bool is_new = i == begin || example.context != part.examples[i - 1].context;
      if (is_new) texts.push_back(example.context);
      texts.push_back(example.question);
      texts.push_back(example.answer);
    }
  });
  for (const Conversation& conversation : part.conversations) {
    for (const Turn& turn : conversation.turns) texts.push_back(turn.text);
  }
  return texts;
}

}  // namespace radgpt
