#include "libradgpt/data/corpus.h"

#include <filesystem>
#include <iostream>
#include <map>

#include "libradgpt/base/error.h"
#include "tests/catch.h"
#include "tests/data/scratch_file.h"
#include "tests/data/small_tokenizer.h"

using namespace radgpt;

namespace {

Task task() {
  Task result;
  result.name = "summary";
  result.context = "{findings}";
  result.question = "？";
  result.answer = "{impression}";
  return result;
}

std::string line(const std::string& id, const std::string& patient, const std::string& findings,
                 const std::string& centre = "north") {
  return R"({"id":")" + id + R"(","patient":")" + patient + R"(","centre":")" + centre +
         R"(","modality":"CT","findings":")" + findings + R"(","impression":"见)" + findings +
         "\"}\n";
}

/// `count` reports, two for each patient.
std::string many_lines(int count, const std::string& centre = "north") {
  std::string content;
  for (int i = 0; i < count; ++i) {
    const std::string number = std::to_string(i);
    content += line("r" + number, "p" + std::to_string(i / 2), "结节" + number, centre);
  }
  return content;
}

CorpusOptions options_for(const ScratchFile& file, std::optional<Split> split = std::nullopt) {
  CorpusOptions options;
  options.tasks = {task()};
  options.split = {"s", 0.2, 0.2};
  options.reports.emplace_back();
  options.reports[0].path = file.path();
  options.reports[0].split = split;
  return options;
}

std::string message_of(const CorpusOptions& options) {
  try {
    read_corpus(options);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    return error.what();
  }
  return "accepted";
}

std::map<std::string, Split> splits_of_patients(const Corpus& corpus) {
  std::map<std::string, Split> result;
  for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest}) {
    for (const Report& report : corpus.part(split).reports) {
      const auto [place, is_new] = result.try_emplace(report.patient, split);
      CHECK((is_new || place->second == split));
    }
  }
  return result;
}

}  // namespace

TEST_CASE("Corpus: no patient is in two splits, and more data moves none") {
  const ScratchFile few(many_lines(200));
  const ScratchFile many(many_lines(400));
  const auto before = splits_of_patients(read_corpus(options_for(few)));
  const auto after = splits_of_patients(read_corpus(options_for(many)));
  CHECK(before.size() == 100);
  CHECK(after.size() == 200);
  for (const auto& [patient, split] : before) CHECK(after.at(patient) == split);
}

TEST_CASE("Corpus: counts reports and patients of each file and split") {
  const ScratchFile file(many_lines(200));
  const Corpus corpus = read_corpus(options_for(file));
  REQUIRE(corpus.sources.size() == 1);
  int reports = 0;
  for (size_t split = 0; split < kSplits; ++split) {
    CHECK(corpus.sources[0].reports[split] == static_cast<int>(corpus.parts[split].reports.size()));
    CHECK(corpus.sources[0].reports[split] == 2 * corpus.sources[0].patients[split]);
    CHECK(corpus.parts[split].examples.size() == corpus.parts[split].reports.size());
    reports += corpus.sources[0].reports[split];
  }
  CHECK(reports == 200);
}

TEST_CASE("Corpus: a patient in files of two splits is refused with both lines") {
  const ScratchFile train(line("a", "p1", "甲") + line("b", "p2", "乙"));
  const ScratchFile test(line("c", "p3", "丙") + line("d", "p2", "丁"));
  CorpusOptions options = options_for(train, Split::kTrain);
  options.reports.push_back(options.reports[0]);
  options.reports[1].path = test.path();
  options.reports[1].split = Split::kTest;
  CHECK(message_of(options) == test.path() +
                                   ":2: patient must be in one split, got one in test who is in "
                                   "train at " +
                                   train.path() + ":2");
  options.reports[0].patient_field = "";
  options.reports[1].patient_field = "";
  CHECK(message_of(options) == "accepted");
}

TEST_CASE("Corpus: a held-out report with the text of a training report is a leak") {
  const ScratchFile train(line("a", "p1", "双肺清晰") + line("b", "p2", "结节"));
  const ScratchFile test(line("c", "p3", "肿块") + line("d", "p4", "双肺 清晰"));
  CorpusOptions options = options_for(train, Split::kTrain);
  options.reports.push_back(options.reports[0]);
  options.reports[1].path = test.path();
  options.reports[1].split = Split::kTest;
  const Duplicates duplicates = find_duplicates(read_corpus(options), 0.9);
  REQUIRE(duplicates.leaks.size() == 1);
  CHECK_THROWS_WITH(require_no_leaks(duplicates),
                    test.path() +
                        ":2: a held-out text must not stand in an earlier split, got "
                        "the text of " +
                        train.path() +
                        ":1; 1 text(s) are such duplicates (data.duplicates: drop leaves the "
                        "earlier copies out)");
  CHECK_NOTHROW(require_no_leaks(Duplicates{}));
}

std::vector<std::string> ids_of(const Corpus& corpus, Split split) {
  std::vector<std::string> ids;
  for (const Report& report : corpus.part(split).reports) ids.push_back(report.id);
  return ids;
}

TEST_CASE("Corpus: seen texts can be dropped, so that the latest split alone keeps them") {
  const ScratchFile train(line("a", "p1", "双肺清晰") + line("b", "p2", "结节") +
                          line("c", "p3", "双肺清晰 ") + line("d", "p4", "囊肿") +
                          line("e", "p5", "结节"));
  const ScratchFile validation(line("f", "p6", "囊肿") + line("g", "p7", "肿块"));
  const ScratchFile test(line("h", "p8", "双肺　清晰") + line("i", "p9", "肿块"));
  CorpusOptions options = options_for(train, Split::kTrain);
  for (const auto& [file, split] :
       {std::pair{&validation, Split::kValidation}, std::pair{&test, Split::kTest}}) {
    options.reports.push_back(options.reports[0]);
    options.reports.back().path = file->path();
    options.reports.back().split = split;
  }
  CHECK(find_duplicates(read_corpus(options), 0).leaks.size() == 3);
  CHECK(read_corpus(options).dropped == std::array<int, kSplits>{});

  options.seen_texts = SeenTexts::kDrop;
  const Corpus corpus = read_corpus(options);
  CHECK(ids_of(corpus, Split::kTrain) == std::vector<std::string>{"b", "e"});
  CHECK(ids_of(corpus, Split::kValidation) == std::vector<std::string>{"f"});
  CHECK(ids_of(corpus, Split::kTest) == std::vector<std::string>{"h", "i"});
  CHECK(corpus.dropped == std::array<int, kSplits>{3, 1, 0});
  CHECK_NOTHROW(require_no_leaks(find_duplicates(corpus, 0.9)));
  const std::vector<Example>& examples = corpus.part(Split::kTrain).examples;
  REQUIRE(examples.size() == 2);
  CHECK(examples[0].report == 0);
  CHECK(examples[1].report == 1);

  options.reports[0].path = test.path();  // of the same patients
  CHECK(message_of(options).find(": patient must be in one split") != std::string::npos);
}

TEST_CASE("Corpus: a copy that lacks an optional field is a leak, in train or in test") {
  const std::string whole = line("a", "p1", "双肺清晰");
  const std::string bare =
      R"({"id":"b","patient":"p2","centre":"north","modality":"CT","findings":"双肺 清晰",)"
      R"("impression":null,"labels":{"abnormal":"no"}})"
      "\n";
  const std::string others = line("c", "p3", "肿块");
  const std::string label = R"("labels":{"abnormal":"no"},"id")";
  const std::string labelled = "{" + label + line("e", "p5", "囊肿").substr(5);
  for (const auto& [first, second] : {std::pair{whole, bare}, std::pair{bare, whole}}) {
    const ScratchFile train(others + first);
    const ScratchFile test(labelled + second);
    CorpusOptions options = options_for(train, Split::kTrain);
    Task positive = task();
    positive.name = "positive";
    positive.kind = TaskKind::kClassification;
    positive.answer = "{label:abnormal}";
    positive.labels = {{"yes", "阳性"}, {"no", "阴性"}};
    options.tasks.push_back(positive);
    options.reports.push_back(options.reports[0]);
    options.reports[1].path = test.path();
    options.reports[1].split = Split::kTest;
    const Duplicates duplicates = find_duplicates(read_corpus(options), 0);
    REQUIRE(duplicates.leaks.size() == 1);
    CHECK(duplicates.leaks[0].held_out.line == 2);
    CHECK(duplicates.leaks[0].seen.line == 2);
    options.seen_texts = SeenTexts::kDrop;
    const Corpus corpus = read_corpus(options);
    CHECK(ids_of(corpus, Split::kTrain) == std::vector<std::string>{"c"});
    CHECK(find_duplicates(corpus, 0).leaks.empty());
  }
}

TEST_CASE("Corpus: seen conversations can be dropped too") {
  const std::string one = R"([{"from":"human","value":"甲"},{"from":"gpt","value":"乙"}])";
  const std::string other = R"([{"from":"human","value":"甲"},{"from":"gpt","value":"丙"}])";
  const ScratchFile train("{\"conversations\":" + one + "}\n{\"conversations\":" + other + "}\n");
  const ScratchFile test("{\"conversations\":" + one + "}\n");
  CorpusOptions options;
  options.conversations = {{train.path(), Split::kTrain, 0}, {test.path(), Split::kTest, 0}};
  options.seen_texts = SeenTexts::kDrop;
  const Corpus corpus = read_corpus(options);
  REQUIRE(corpus.part(Split::kTrain).conversations.size() == 1);
  CHECK(corpus.part(Split::kTrain).conversations[0].source.line == 2);
  CHECK(corpus.part(Split::kTest).conversations.size() == 1);
  CHECK(corpus.dropped[0] == 1);
}

TEST_CASE("Corpus: plain text without contexts is compared by its answers") {
  const ScratchFile train(line("a", "p1", "双肺清晰"));
  const ScratchFile test(line("b", "p2", "肿块") + line("c", "p3", "双肺清晰"));
  CorpusOptions options = options_for(train, Split::kTrain);
  options.tasks[0].context = options.tasks[0].question = "";
  options.tasks[0].answer = "{findings}";
  options.reports.push_back(options.reports[0]);
  options.reports[1].path = test.path();
  options.reports[1].split = Split::kTest;
  const Duplicates duplicates = find_duplicates(read_corpus(options), 0.9);
  REQUIRE(duplicates.leaks.size() == 1);
  CHECK(duplicates.leaks[0].held_out.line == 2);
}

TEST_CASE("Corpus: training centres keep the others out of train alone") {
  const ScratchFile north(many_lines(100, "north"));
  CorpusOptions options = options_for(north);
  std::string south_lines;
  for (int i = 0; i < 100; ++i) {
    south_lines +=
        line("s" + std::to_string(i), "q" + std::to_string(i), "囊肿" + std::to_string(i), "south");
  }
  const ScratchFile south(south_lines);
  options.reports.push_back(options.reports[0]);
  options.reports[1].path = south.path();
  options.train_centres = {"north"};
  const Corpus corpus = read_corpus(options);
  CHECK(corpus.sources[1].reports[0] == 0);
  CHECK(corpus.sources[1].reports[1] > 0);
  CHECK(corpus.sources[1].reports[2] > 0);
  for (const Report& report : corpus.part(Split::kTrain).reports) CHECK(report.centre == "north");
  options.train_centres = {"nroth"};
  CHECK(message_of(options) == "data.train_centres: must be centres of the reports, got nroth");
}

TEST_CASE("Corpus: the limit counts by file and split") {
  const ScratchFile file(many_lines(200));
  CorpusOptions options = options_for(file);
  options.limit = 3;
  const Corpus corpus = read_corpus(options);
  for (const CorpusPart& part : corpus.parts) CHECK(part.reports.size() == 3);
  CHECK(corpus.part(Split::kTrain).reports[0].id ==
        read_corpus(options_for(file)).part(Split::kTrain).reports[0].id);
}

TEST_CASE("Corpus: a hashed split that gets nothing is refused, an unasked one is not") {
  const ScratchFile file(line("a", "p", "甲") + line("b", "p", "乙"));
  CorpusOptions options = options_for(file);
  CHECK(message_of(options).find(" of the patients, got none of 2 report(s)") != std::string::npos);
  options.split.validation = 0;
  options.split.test = 0;
  CHECK(message_of(options) == "accepted");
}

TEST_CASE("Corpus: a task that no report has the fields for is refused by name") {
  const ScratchFile file(many_lines(10));
  CorpusOptions options = options_for(file, Split::kTrain);
  options.tasks[0].context = "{fidnings}";
  CHECK(message_of(options) ==
        "task summary: its fields and labels must stand in some report, got none that has them "
        "all");
}

TEST_CASE("Corpus: conversations join the token data set behind the reports") {
  const ScratchFile reports(many_lines(4));
  const ScratchFile triples(R"({"instruction":"。","output":"，"})");
  CorpusOptions options = options_for(reports, Split::kTrain);
  options.conversations.push_back({triples.path(), Split::kTrain, 0});
  const Corpus corpus = read_corpus(options);
  const TokenDataset dataset = tokenize(corpus.part(Split::kTrain), small_tokenizer(), {});
  REQUIRE(dataset.size() == 5);
  CHECK(dataset.examples[4].task == -1);
  CHECK(dataset.examples[4].branch == std::vector<int32_t>{195, 66, 196, 65});
  CHECK(corpus.sources[1].reports[0] == 1);
}

TEST_CASE("Corpus: two questions about one text fall into one split") {
  std::string lines;
  for (int i = 0; i < 60; ++i) {
    for (const char* question : {"甲", "乙"}) {
      lines += concat(R"({"instruction":")", question, R"(","input":"文)", i, R"(","output":"答"})",
                      "\n");
    }
  }
  const ScratchFile triples(lines);
  CorpusOptions options;
  options.split = {"salt", 0.3, 0.3};
  options.conversations = {{triples.path(), std::nullopt, 0}};
  const Corpus corpus = read_corpus(options);
  for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest}) {
    std::map<std::string, int> questions;
    for (const auto& one : corpus.part(split).conversations) ++questions[one.subject];
    CHECK(questions.size() > 5);
    for (const auto& [subject, count] : questions) CHECK(count == 2);
  }
}

TEST_CASE("Corpus: training texts are what training examples hold, and nothing held out") {
  const ScratchFile train(line("a", "p1", "甲"));
  const ScratchFile test(line("b", "p2", "乙"));
  CorpusOptions options = options_for(train, Split::kTrain);
  options.reports.push_back(options.reports[0]);
  options.reports[1].path = test.path();
  options.reports[1].split = Split::kTest;
  CHECK(training_texts(read_corpus(options)) == std::vector<std::string>{"甲", "？", "见甲"});
}
