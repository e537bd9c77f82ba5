#include "libradgpt/data/conversation_reader.h"

#include "libradgpt/base/error.h"
#include "tests/catch.h"
#include "tests/data/scratch_file.h"

using namespace radgpt;

namespace {

std::vector<Conversation> read(const std::string& content) {
  const ScratchFile file(content);
  return read_conversations({file.path(), std::nullopt, 0}).conversations;
}

std::string message_of(const std::string& content, int max_bad_lines = 0) {
  const ScratchFile file(content);
  try {
    read_conversations({file.path(), std::nullopt, max_bad_lines});
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    const std::string message = error.what();
    REQUIRE(message.find(file.path()) == 0);
    return "F" + message.substr(file.path().size());
  }
  return "accepted";
}

std::string turns(const std::string& list) {
  return R"({"id":"1","conversations":[)" + list + "]}";
}

const std::string kUser = R"({"from":"human","value":"问"})";
const std::string kAssistant = R"({"from":"gpt","value":"答"})";

}  // namespace

TEST_CASE("Conversation reader: an Alpaca triple is instruction, newline, input and an answer") {
  const auto list =
      read(R"({"instruction":"给出诊断。","input":"双肺清晰。","output":"未见异常。"})"
           "\n"
           R"({"instruction":"你好","input":"","output":"好"})"
           "\n"
           R"({"instruction":"你好","output":"好","history":[],"system":""})");
  REQUIRE(list.size() == 3);
  CHECK(list[0].turns.size() == 2);
  CHECK(list[0].turns[0].role == Role::kUser);
  CHECK(list[0].turns[0].text == "给出诊断。\n双肺清晰。");
  CHECK(list[0].turns[1].role == Role::kAssistant);
  CHECK(list[0].turns[1].text == "未见异常。");
  CHECK(list[0].subject == "双肺清晰。");
  CHECK(list[1].turns[0].text == "你好");
  CHECK(list[1].subject == "你好");
  CHECK(list[2].source.line == 3);
}

TEST_CASE("Conversation reader: Baichuan2's conversations, as a list or line by line") {
  const std::string one = turns(kUser + "," + kAssistant + "," + kUser + "," + kAssistant);
  for (const std::string& content : {"[" + one + "]", one + "\n", "\n [\n" + one + "\n]\n"}) {
    const auto list = read(content);
    REQUIRE(list.size() == 1);
    CHECK(list[0].id == "1");
    REQUIRE(list[0].turns.size() == 4);
    CHECK(list[0].turns[2].role == Role::kUser);
    CHECK(list[0].turns[3].text == "答");
  }
}

TEST_CASE("Conversation reader: user and assistant are other names of the roles") {
  const auto list =
      read(turns(R"({"from":"user","value":"问"},{"from":"assistant","value":"答"})"));
  CHECK(list[0].turns[1].role == Role::kAssistant);
}

TEST_CASE("Conversation reader: refuses what cannot be trained on, by line and key") {
  struct Case {
    std::string line;
    std::string message;
  };
  const Case bad = GENERATE_COPY(values<Case>({
      {"{}", "F:1: must have the key instruction or conversations, got neither"},
      {turns(""),
       "F:1: conversations: must be turns of user and assistant, got an array of 0 values"},
      {turns(kUser), "F:1: conversations: must be turns of user and assistant, got"},
      {turns(kUser + "," + kAssistant + "," + kUser),
       "F:1: conversations: must be turns that end with the assistant's, got"},
      {turns(kAssistant + "," + kUser),
       "F:1: conversations[0]: from: must be the user first, then each in turn, got"},
      {turns(kUser + "," + kUser), "F:1: conversations[1]: from: must be the user first, then"},
      {turns(R"({"from":"system","value":"问"},)" + kAssistant),
       "F:1: conversations[0]: from: must be human, user, gpt or assistant, got"},
      {turns(kUser + R"(,{"from":"gpt","value":""})"),
       "F:1: conversations[1]: value: must be text that is not blank, got a string of 0 bytes"},
      {turns(kUser + R"(,{"from":"gpt","value":" 　\n"})"),
       "F:1: conversations[1]: value: must be text that is not blank, got a string of 5 bytes"},
      {turns(kUser + R"(,{"from":"gpt"})"),
       "F:1: conversations[1]: value: must be a string, but is missing"},
      {turns(kUser + ",7"), "F:1: conversations[1]: must be a JSON object, got an integer"},
      {R"({"instruction":"问","input":"","output":""})",
       "F:1: output: must be text that is not blank, got a string of 0 bytes"},
      {R"({"instruction":"问","input":"","output":null})",
       "F:1: output: must be a string, got null"},
      {R"({"instruction":"问","input":3,"output":"答"})",
       "F:1: input: must be a string, got an integer"},
      {R"({"instruction":"问","output":"答","history":[["a","b"]]})",
       "F:1: history: must be absent; use the layout with conversations, got"},
      {R"({"instruction":"问","output":"答","system":"s"})", "F:1: system: must be absent"},
  }));
  CAPTURE(bad.line);
  const std::string message = message_of(bad.line);
  CHECK(message.substr(0, bad.message.size()) == bad.message);
  CHECK(message.find("问") == std::string::npos);
}

TEST_CASE("Conversation reader: bad items of a list are counted and named") {
  const std::string good = turns(kUser + "," + kAssistant);
  CHECK(message_of("[" + good + ",{}]").find("F: item 2: ") == 0);
  CHECK(message_of("[" + good + ",{}]", 1) == "accepted");
  CHECK(message_of("[{}]", 1) == "F: must hold at least one conversation, got none in 1 items");
  CHECK(message_of("[]").find("F: must hold at least one conversation") == 0);
  CHECK(message_of("[" + good).find("F:") == 0);
  CHECK(message_of(good + "\n{}\n", 1) == "accepted");
}
