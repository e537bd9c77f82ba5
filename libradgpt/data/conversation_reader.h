#pragma once

#include <optional>
#include <string>
#include <vector>

#include "libradgpt/data/report.h"
#include "libradgpt/data/split.h"

namespace radgpt {

/// Who speaks.
enum class Role { kUser, kAssistant };

/// One message of a conversation, UTF-8.
struct Turn {
  Role role = Role::kUser;
  std::string text;
};

/// Instruction data that does not come from reports: turns that begin with the user and alternate.
/// Every turn of the assistant is trained on.
struct Conversation {
  std::string id;  ///< empty where the file has none
  std::vector<Turn> turns;
  SourceLine source;
  /// What it is about, by which it is split: a triple's input, so that two questions about one text
  /// fall into one split; without it the user's first turn.
  std::string subject = {};
};

/// A file of conversations, JSONL or one JSON list, in either of two layouts, told apart by their
/// keys: Alpaca triples {"instruction", "input", "output"}, where the user's message is the
/// instruction, a newline and the input; and Baichuan2's own {"id", "conversations": [{"from",
/// "value"}, …]}, where `from` is human, user, gpt or assistant.
struct ConversationSource {
  std::string path;
  std::optional<Split> split;  ///< without it, by a hash of the subject
  int max_bad_lines = 0;
};

/// The conversations of a file in its order, and the lines that were left out.
struct ConversationFile {
  std::vector<Conversation> conversations;
  std::vector<std::string> bad_lines;  ///< as in ReportFile
};

/// Throws Error(kInput) with the first bad line if there are more than `max_bad_lines`, or if the
/// file holds no conversation. A line is bad if a message is missing, empty, not text, of an
/// unknown role or out of turn, or if the assistant says nothing.
ConversationFile read_conversations(const ConversationSource& source);

}  // namespace radgpt
