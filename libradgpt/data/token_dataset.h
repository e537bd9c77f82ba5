#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "libradgpt/data/conversation_reader.h"
#include "libradgpt/data/example.h"
#include "libradgpt/data/tokenizer.h"

namespace radgpt {

/// Marks a token whose successor is not learnt.
inline constexpr int32_t kNoTarget = -1;

/// One example as ids: the prefix of its group, then its branch.
///
/// A report's example is, standing alone,
///   [195] encode(context) | [5] encode(question) [196] encode(answer)
///   prefix                | branch
/// with targets from the row of 196 on: the first answer id, …, and kEndOfTextId at the last row,
/// which is never an input. The newline stands only between two non-empty parts; with an empty
/// context the prefix is empty and the branch opens with 195. A conversation has an empty prefix.
struct TokenExample {
  int32_t group = 0;    ///< index in TokenDataset::groups
  int32_t task = -1;    ///< as in Example; -1 for a conversation
  int32_t report = -1;  ///< as in Example; index of the conversation where task is -1
  int32_t label = -1;   ///< as in Example
  std::vector<int32_t> branch;
  std::vector<int32_t> targets;  ///< as long as branch: the id to predict after it, or kNoTarget
  int32_t answer_row = 0;        ///< index in branch of the last assistant token: end of the prompt
  float weight = 1;              ///< of its targets in the loss

  /// Rows with a target.
  int32_t target_count() const;
};

/// Consecutive examples [begin, end) of one report that begin with the same ids.
struct TokenGroup {
  std::vector<int32_t> prefix;
  int32_t begin = 0;
  int32_t end = 0;
};

/// What becomes of an example with more than LengthOptions::max_tokens.
enum class TooLong {
  kError,           ///< refuse the data set
  kDrop,            ///< leave the example out
  kShortenContext,  ///< cut the end of the context; roles, question, answer and end stay whole
};

/// How long an example may be.
struct LengthOptions {
  /// Of one example standing alone; at most PackingOptions::pack_tokens.
  int32_t max_tokens = 4096;
  TooLong too_long = TooLong::kError;
};

/// An example that was too long, and what became of it.
struct LengthCut {
  SourceLine source;
  int32_t task = -1;
  int32_t tokens = 0;  ///< before
  int32_t kept = 0;    ///< after; 0 = left out
};

/// Examples as ids, in the order given.
struct TokenDataset {
  std::vector<TokenExample> examples;
  std::vector<TokenGroup> groups;  ///< ascending, covering all examples
  std::vector<LengthCut> cuts;

  int32_t size() const { return static_cast<int32_t>(examples.size()); }
  /// The ids of the example's report, shared by its group; perhaps empty.
  const std::vector<int32_t>& prefix(int32_t example) const;
  /// The example up to its last assistant token: what `generate` goes on from.
  std::vector<int32_t> prompt(int32_t example) const;
  /// Tokens of the example standing alone.
  int32_t length(int32_t example) const;
};

/// Tokenises examples. Under TooLong::kError throws Error(kInput) naming file and line of the first
/// report with a longer example, and how many there are. Under kShortenContext an example that no
/// cut can make fit is left out.
TokenDataset tokenize_examples(const std::vector<Example>& examples,
                               const std::vector<Report>& reports, const Tokenizer& tokenizer,
                               const LengthOptions& options);

/// Tokenises conversations: [195] user [196] assistant [195] … as Baichuan2's own fine-tuning does:
/// every answer is learnt, the end-of-text id is the target at each answer's last row, also before
/// a further turn. There is no context to shorten: kShortenContext leaves a long one out.
TokenDataset tokenize_conversations(const std::vector<Conversation>& conversations,
                                    const Tokenizer& tokenizer, const LengthOptions& options);

/// Appends all of `more` to `dataset`.
void append(TokenDataset& dataset, const TokenDataset& more);

}  // namespace radgpt
