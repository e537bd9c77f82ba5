#include "libradgpt/data/token_dataset.h"

#include <algorithm>

#include "libradgpt/base/error.h"

namespace radgpt {
namespace {

void extend(std::vector<int32_t>& ids, const std::vector<int32_t>& more) {
  ids.insert(ids.end(), more.begin(), more.end());
}

/// Opens the assistant's turn in `example` and adds what it says, all of it learnt.
void add_answer(TokenExample& example, const std::vector<int32_t>& answer) {
  example.answer_row = static_cast<int32_t>(example.branch.size());
  example.branch.push_back(kAssistantId);
  extend(example.branch, answer);
  example.targets.resize(static_cast<size_t>(example.answer_row), kNoTarget);
  extend(example.targets, answer);
  example.targets.push_back(kEndOfTextId);
}

/// Cuts a prefix to `length` tokens, or less where that would tear the bytes of a character.
void cut_prefix(std::vector<int32_t>& prefix, size_t length) {
  const auto is_continuation = [](int32_t id) {
    return id >= kFirstByteId + 0x80 && id < kFirstByteId + 0xC0;
  };
  while (length > 0 && is_continuation(prefix[length])) --length;
  prefix.resize(length);
}

/// Fills a TokenDataset example by example and applies the policy for long ones.
class DatasetBuilder {
 public:
  explicit DatasetBuilder(const LengthOptions& options) : options_(options) {
    require(options.max_tokens >= 1, "data set: max_tokens must be at least 1, got ",
            options.max_tokens);
  }

  void add(TokenExample example, std::vector<int32_t> prefix, const SourceLine& source) {
    const auto limit = static_cast<size_t>(options_.max_tokens);
    const size_t tokens = prefix.size() + example.branch.size();
    if (tokens > limit) {
      // Two tokens stay of a cut context: the role and something to read.
      const bool can_shorten = prefix.size() > 2 && example.branch.size() + 2 <= limit;
      const bool shorten = options_.too_long == TooLong::kShortenContext && can_shorten;
      if (shorten) cut_prefix(prefix, limit - example.branch.size());
      const size_t kept = shorten ? prefix.size() + example.branch.size() : 0;
      dataset_.cuts.push_back(
          {source, example.task, static_cast<int32_t>(tokens), static_cast<int32_t>(kept)});
      if (!shorten) return;
    }
    join_group(example, std::move(prefix));
    dataset_.examples.push_back(std::move(example));
  }

  TokenDataset finish() {
    if (options_.too_long == TooLong::kError && !dataset_.cuts.empty()) {
      const LengthCut& first = dataset_.cuts.front();
      fail(ErrorKind::kInput, first.source.file, ":", first.source.line,
           ": an example must have at most ", options_.max_tokens, " tokens, got ", first.tokens,
           "; ", dataset_.cuts.size(), " example(s) are too long");
    }
    return std::move(dataset_);
  }

 private:
  void join_group(TokenExample& example, std::vector<int32_t> prefix) {
    const auto place = dataset_.size();
    const bool joins = !dataset_.groups.empty() && !prefix.empty() &&
                       dataset_.examples.back().report == example.report &&
                       dataset_.groups.back().prefix == prefix;
    if (!joins) dataset_.groups.push_back({std::move(prefix), place, place});
    dataset_.groups.back().end = place + 1;
    example.group = static_cast<int32_t>(dataset_.groups.size()) - 1;
  }

  LengthOptions options_;
  TokenDataset dataset_;
};

}  // namespace

int32_t TokenExample::target_count() const {
  return static_cast<int32_t>(targets.size()) -
         static_cast<int32_t>(std::count(targets.begin(), targets.end(), kNoTarget));
}

const std::vector<int32_t>& TokenDataset::prefix(int32_t example) const {
  return groups[static_cast<size_t>(examples[static_cast<size_t>(example)].group)].prefix;
}

std::vector<int32_t> TokenDataset::prompt(int32_t example) const {
  const TokenExample& one = examples[static_cast<size_t>(example)];
  std::vector<int32_t> ids = prefix(example);
  ids.insert(ids.end(), one.branch.begin(), one.branch.begin() + one.answer_row + 1);
  return ids;
}

int32_t TokenDataset::length(int32_t example) const {
  return static_cast<int32_t>(prefix(example).size() +
                              examples[static_cast<size_t>(example)].branch.size());
}

TokenDataset tokenize_examples(const std::vector<Example>& examples,
                               const std::vector<Report>& reports, const Tokenizer& tokenizer,
                               const LengthOptions& options) {
  DatasetBuilder builder(options);
  const std::string* last_context = nullptr;
  std::vector<int32_t> prefix;
  for (const Example& source : examples) {
    if (last_context == nullptr || *last_context != source.context) {
      prefix = tokenizer.encode(source.context);
      if (!prefix.empty()) prefix.insert(prefix.begin(), kUserId);
      last_context = &source.context;
    }
    TokenExample example;
    example.task = source.task;
    example.report = source.report;
    example.label = source.label;
    example.weight = static_cast<float>(source.weight);
    if (prefix.empty()) example.branch.push_back(kUserId);
    if (!prefix.empty() && !source.question.empty()) example.branch.push_back(kNewlineId);
    extend(example.branch, tokenizer.encode(source.question));
    add_answer(example, tokenizer.encode(source.answer));
    builder.add(std::move(example), prefix, reports[static_cast<size_t>(source.report)].source);
  }
  return builder.finish();
}

TokenDataset tokenize_conversations(const std::vector<Conversation>& conversations,
                                    const Tokenizer& tokenizer, const LengthOptions& options) {
  DatasetBuilder builder(options);
  for (size_t i = 0; i < conversations.size(); ++i) {
    TokenExample example;
    example.report = static_cast<int32_t>(i);
    for (const Turn& turn : conversations[i].turns) {
      if (turn.role == Role::kAssistant) {
        add_answer(example, tokenizer.encode(turn.text));
        continue;
      }
      example.branch.push_back(kUserId);
      extend(example.branch, tokenizer.encode(turn.text));
    }
    builder.add(std::move(example), {}, conversations[i].source);
  }
  return builder.finish();
}

void append(TokenDataset& dataset, const TokenDataset& more) {
  const auto examples = dataset.size();
  const auto groups = static_cast<int32_t>(dataset.groups.size());
  for (TokenExample example : more.examples) {
    example.group += groups;
    dataset.examples.push_back(std::move(example));
  }
  for (TokenGroup group : more.groups) {
    group.begin += examples;
    group.end += examples;
    dataset.groups.push_back(std::move(group));
  }
  dataset.cuts.insert(dataset.cuts.end(), more.cuts.begin(), more.cuts.end());
}

}  // namespace radgpt
