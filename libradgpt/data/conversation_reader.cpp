#include "libradgpt/data/conversation_reader.h"

#include <array>
#include <string_view>

#include "libradgpt/base/error.h"
#include "libradgpt/base/files.h"
#include "libradgpt/data/duplicates.h"
#include "libradgpt/formats/json.h"
#include "libradgpt/formats/jsonl.h"

namespace radgpt {
namespace {

using nlohmann::json;

constexpr uint64_t kLargestList = uint64_t{1} << 30;

/// A message, which must say something.
std::string message(const JsonObject& object, const std::string& key) {
  const std::string& text = object.text(key);
  if (normalise_for_comparison(text).empty()) object.refuse(key, "text that is not blank");
  return text;
}

/// An Alpaca triple: one turn each.
void read_triple(const JsonObject& object, const json& value, Conversation& conversation) {
  // Fields of other tools' dialects that would change the prompt; ignoring them would be silent.
  for (const std::string key : {"history", "system"}) {
    const auto found = value.find(key);
    const bool says_nothing = found == value.end() || found->is_null() || found->empty() ||
                              (found->is_string() && found->get_ref<const std::string&>().empty());
    if (!says_nothing) object.refuse(key, "absent; use the layout with conversations");
  }
  std::string user = message(object, "instruction");
  conversation.subject = user;
  const auto input = value.find("input");
  if (input != value.end() && !input->is_null() && !object.text("input").empty()) {
    conversation.subject = message(object, "input");
    user += "\n" + conversation.subject;
  }
  conversation.turns = {{Role::kUser, user}, {Role::kAssistant, message(object, "output")}};
}

Role read_role(const JsonObject& turn) {
  const std::string& name = turn.text("from");
  if (name == "human" || name == "user") return Role::kUser;
  if (name != "gpt" && name != "assistant") turn.refuse("from", "human, user, gpt or assistant");
  return Role::kAssistant;
}

std::vector<Turn> read_turns(const JsonObject& object) {
  const json& list = object.array("conversations");
  std::vector<Turn> turns;
  for (const json& value : list) {
    const JsonObject turn(value, concat(object.where(), ": conversations[", turns.size(), "]"));
    const Role expected = turns.size() % 2 == 0 ? Role::kUser : Role::kAssistant;
    const Role role = read_role(turn);
    if (role != expected) turn.refuse("from", "the user first, then each in turn");
    turns.push_back({role, message(turn, "value")});
  }
  if (turns.size() < 2) object.refuse("conversations", "turns of user and assistant");
  if (turns.size() % 2 == 1) object.refuse("conversations", "turns that end with the assistant's");
  return turns;
}

Conversation read_conversation(const json& value, const SourceLine& source,
                               const std::string& where) {
  const JsonObject object(value, where);
  Conversation conversation;
  conversation.source = source;
  if (object.has("conversations")) {
    conversation.id = object.text_or("id", "");
    conversation.turns = read_turns(object);
    conversation.subject = conversation.turns.front().text;
  } else if (object.has("instruction")) {
    read_triple(object, value, conversation);
  } else {
    fail(ErrorKind::kInput, where, ": must have the key instruction or conversations, got neither");
  }
  return conversation;
}

/// Whether the first character is that of a JSON list.
bool is_list(const std::string& path) {
  const InputFile file = open_regular_file(path);
  std::array<char, 256> bytes;
  const std::string_view text(bytes.data(), read_some(file, bytes));
  const size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && text[first] == '[';
}

ConversationFile read_list(const ConversationSource& source) {
  ConversationFile file;
  const json list = read_json_file(source.path, kLargestList, {.values = 100'000'000});
  int item = 0;
  for (const json& value : list) {
    ++item;
    try {
      file.conversations.push_back(
          read_conversation(value, {source.path, item}, concat(source.path, ": item ", item)));
    } catch (const Error& error) {
      file.bad_lines.push_back(error.what());
      if (file.bad_lines.size() > static_cast<size_t>(source.max_bad_lines)) throw;
    }
  }
  require(!file.conversations.empty(), source.path,
          ": must hold at least one conversation, got none in ", list.size(), " items");
  return file;
}

}  // namespace

ConversationFile read_conversations(const ConversationSource& source) {
  if (is_list(source.path)) return read_list(source);
  ConversationFile file;
  JsonlReader reader(source.path, source.max_bad_lines);
  for (JsonLine line; reader.next(line);) {
    const SourceLine place{source.path, static_cast<int>(line.number)};
    try {
      file.conversations.push_back(
          read_conversation(line.value, place, concat(place.file, ":", place.line)));
    } catch (const Error& error) {
      reader.reject(error.what());
    }
  }
  for (const BadLine& line : reader.bad_lines()) file.bad_lines.push_back(line.reason);
  return file;
}

}  // namespace radgpt
