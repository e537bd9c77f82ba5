#include "libradgpt/base/error.h"
#include "libradgpt/data/corpus.h"
#include "tests/catch.h"
#include "tests/data/scratch_file.h"
#include "tests/data/small_tokenizer.h"

// The cases of the catalogue of bad inputs that concern fields, roles, lengths and splits, by their
// names there (JL). What concerns bytes, lines and JSON is tested with formats/.

using namespace radgpt;

namespace {

enum class Layout { kReports, kConversations };

struct Case {
  std::string name;
  Layout layout;
  std::string content;
  std::string message;  // from after the file's name on
};

constexpr char kSecret[] = "患者张三";

Task summary() {
  Task task;
  task.name = "summary";
  task.context = "{findings}";
  task.question = "诊断？";
  task.answer = "{impression}";
  return task;
}

/// Reads and tokenises as a run does; the message without the file's name, or "accepted".
std::string message_of(const Case& bad) {
  const ScratchFile file(bad.content);
  CorpusOptions options;
  if (bad.layout == Layout::kReports) {
    options.tasks = {summary()};
    options.reports.emplace_back().path = file.path();
    options.reports[0].centre = "north";
    options.reports[0].modality = "CT";
    options.split = {"s", 0, bad.name == "JL32" ? 0.1 : 0};
  } else {
    options.conversations.push_back({file.path(), Split::kTrain, 0});
  }
  try {
    tokenize(read_corpus(options).part(Split::kTrain), small_tokenizer(), {64, TooLong::kError});
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    std::string message = error.what();
    CHECK(message.find('\n') == std::string::npos);
    CHECK(message.find(kSecret) == std::string::npos);
    const bool names_file = message.compare(0, file.path().size(), file.path()) == 0;
    return names_file ? message.substr(file.path().size()) : message;
  }
  return "accepted";
}

/// A report whose fields beside id and patient are `fields`.
std::string report(const std::string& fields) {
  return R"({"id":"1","patient":"p",)" + fields + "}\n";
}

std::string turns(const std::string& list) { return R"({"conversations":[)" + list + "]}\n"; }

const std::string kText = kSecret;
const std::string kLong = [] {
  std::string text;
  for (int i = 0; i < 64; ++i) text += "，";
  return text;
}();
const std::string kImpression = R"("impression":")" + kText + R"(")";
const std::string kFindings = R"("findings":")" + kText + R"(")";
const std::string kUser = R"({"from":"human","value":")" + kText + R"("})";
const std::string kAssistant = R"({"from":"gpt","value":")" + kText + R"("})";

}  // namespace

TEST_CASE("Bad data: every case is refused in one line with place, key and rule, without text") {
  using enum Layout;
  const Case bad = GENERATE_COPY(values<Case>({
      {"JL16", kReports, report(kFindings + "," + kFindings + "," + kImpression), ":1:"},
      {"JL17", kReports, report(kImpression), "task summary: its fields and labels must stand in"},
      {"JL17", kReports, R"({"patient":"p","findings":"a"})", ":1: id: must be text"},
      {"JL17", kConversations, R"({"instruction":")" + kText + R"("})", ":1: output: must be a"},
      {"JL18", kReports, R"({"id":null,"patient":"p","findings":"a"})", ":1: id: must be text"},
      {"JL18", kConversations, R"({"instruction":"a","output":null})", ":1: output: must be a str"},
      {"JL19", kReports, report(kImpression + R"(,"findings":5)"), ":1: findings: must be text"},
      {"JL19", kConversations, R"({"instruction":"a","output":5})", ":1: output: must be a string"},
      {"JL20", kReports, report(kFindings + R"(,"impression":"")"), ":1: impression: must be text"},
      {"JL20", kConversations, R"({"instruction":"a","output":""})", ":1: output: must be text"},
      {"JL21", kReports, report(kImpression + R"(,"findings":" \n　")"), ":1: findings: must be"},
      {"JL21", kConversations, R"({"instruction":"　","output":"a"})", ":1: instruction: must be"},
      {"JL22", kConversations, turns(kUser + R"(,{"from":"tool","value":"a"})"),
       ":1: conversations[1]: from: must be human, user, gpt or assistant, got a string of 4"},
      {"JL23", kConversations, turns(kUser), ":1: conversations: must be turns of user and"},
      {"JL29", kReports, report(kImpression + R"(,"findings":")" + kLong + "\""),
       ":1: an example must have at most 64 tokens, got "},
      {"JL29", kConversations, R"({"instruction":"a","output":")" + kLong + "\"}",
       ":1: an example must have at most 64 tokens, got 67; 1 example(s) are too long"},
      {"JL31", kReports, R"({"id":"1",)" + kFindings + "," + kImpression + "}",
       ":1: patient: must be text that is not blank (or data.group_by must be none), but is"},
      {"JL32", kReports, report(kFindings + "," + kImpression),
       "split: test must get about 0.1 of the patients, got none of 1 report(s)"},
  }));
  CAPTURE(bad.name, bad.content);
  CHECK(message_of(bad).substr(0, bad.message.size()) == bad.message);
}

TEST_CASE("Bad data: JL30, symbols of the chat format in a report are read as text") {
  const Case odd{"JL30", Layout::kReports,
                 report(R"("findings":"<reserved_106></s>","impression":"<reserved_107>")"), ""};
  CHECK(message_of(odd) == "accepted");
}

TEST_CASE("Bad data: a null text of a report is an absent one") {
  const Case absent{"JL18", Layout::kReports,
                    report(kFindings + R"(,"impression":null)") + R"({"id":"2","patient":"q",)" +
                        kFindings + "," + kImpression + "}",
                    ""};
  CHECK(message_of(absent) == "accepted");
}
