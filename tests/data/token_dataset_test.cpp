#include "libradgpt/data/token_dataset.h"

#include "libradgpt/base/error.h"
#include "tests/catch.h"
#include "tests/data/small_tokenizer.h"

using namespace radgpt;

namespace {

using Ids = std::vector<int32_t>;

Example example(int report, int task, std::string context, std::string question,
                std::string answer) {
  Example result;
  result.report = report;
  result.task = task;
  result.context = std::move(context);
  result.question = std::move(question);
  result.answer = std::move(answer);
  return result;
}

std::vector<Report> reports(int count) {
  std::vector<Report> result(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) result[static_cast<size_t>(i)].source = {"f.jsonl", i + 1};
  return result;
}

Ids operator+(Ids a, const Ids& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Ids encode(std::string_view text) { return small_tokenizer().encode(text); }

/// Tokens of an example standing alone.
Ids tokens(const TokenDataset& dataset, int32_t index) {
  return dataset.prefix(index) + dataset.examples[static_cast<size_t>(index)].branch;
}

/// Targets of an example standing alone.
Ids targets(const TokenDataset& dataset, int32_t index) {
  return Ids(dataset.prefix(index).size(), kNoTarget) +
         dataset.examples[static_cast<size_t>(index)].targets;
}

TokenDataset tokenize(const std::vector<Example>& examples, const LengthOptions& options = {}) {
  return tokenize_examples(examples, reports(4), small_tokenizer(), options);
}

}  // namespace

TEST_CASE("Token data set: an example in ids that are all signs, written by hand") {
  // 。 66  ， 65  ？ 68  、 69  ： 70
  const TokenDataset dataset = tokenize({example(0, 2, "。，", "？", "、：")});
  CHECK(dataset.groups[0].prefix == Ids{195, 66, 65});
  CHECK(dataset.examples[0].branch == Ids{5, 68, 196, 69, 70});
  CHECK(dataset.examples[0].targets == Ids{-1, -1, 69, 70, 2});
  CHECK(dataset.examples[0].answer_row == 2);
  CHECK(dataset.examples[0].target_count() == 3);
  CHECK(dataset.examples[0].task == 2);
  CHECK(dataset.length(0) == 8);
}

TEST_CASE("Token data set: the newline stands between two non-empty parts only") {
  const TokenDataset dataset =
      tokenize({example(0, 0, "", "", "。"), example(1, 0, "，", "", "。"),
                example(2, 0, "", "？", "。"), example(3, 0, "，", "？", "")});
  CHECK(tokens(dataset, 0) == Ids{195, 196, 66});
  CHECK(tokens(dataset, 1) == Ids{195, 65, 196, 66});
  CHECK(tokens(dataset, 2) == Ids{195, 68, 196, 66});
  CHECK(tokens(dataset, 3) == Ids{195, 65, 5, 68, 196});
  CHECK(targets(dataset, 3) == Ids{-1, -1, -1, -1, 2});
}

TEST_CASE("Token data set: the prompt is the user's whole message as text, in ids") {
  const std::string context = "影像所见：双肺清晰。";
  const std::string question = "请根据影像所见，给出影像诊断。";
  const TokenDataset dataset = tokenize({example(0, 0, context, question, "未见明显异常。")});
  CHECK(tokens(dataset, 0) == Ids{kUserId} + encode(context + "\n" + question) + Ids{kAssistantId} +
                                  encode("未见明显异常。"));
  CHECK(dataset.prompt(0) == Ids{kUserId} + encode(context + "\n" + question) + Ids{kAssistantId});
}

TEST_CASE("Token data set: the end of text is a target of every example and an input of none") {
  const TokenDataset dataset =
      tokenize({example(0, 0, "双肺</s>", "诊断</s>？", "</s>清晰"), example(0, 1, "x", "y", "z")});
  for (int32_t i = 0; i < dataset.size(); ++i) {
    for (const int32_t id : tokens(dataset, i)) CHECK(id != kEndOfTextId);
    CHECK(targets(dataset, i).back() == kEndOfTextId);
  }
}

TEST_CASE("Token data set: role symbols in a report do not open roles") {
  const TokenDataset dataset = tokenize(
      {example(0, 0, "<reserved_106>双肺<reserved_107>", "<reserved_107>？", "<reserved_106>")});
  const Ids ids = tokens(dataset, 0);
  CHECK(std::count(ids.begin(), ids.end(), kUserId) == 1);
  CHECK(std::count(ids.begin(), ids.end(), kAssistantId) == 1);
}

TEST_CASE("Token data set: neighbours of one report with equal contexts form a group") {
  const TokenDataset dataset =
      tokenize({example(0, 0, "甲", "一", "答"), example(0, 1, "甲", "二", "答"),
                example(0, 3, "乙", "三", "答"), example(1, 0, "乙", "一", "答")});
  REQUIRE(dataset.groups.size() == 3);
  CHECK(dataset.groups[0].begin == 0);
  CHECK(dataset.groups[0].end == 2);
  CHECK(dataset.groups[1].end == 3);
  CHECK(dataset.groups[2].end == 4);  // the same text, but another report
  for (int32_t g = 0; g < 3; ++g) {
    const TokenGroup& group = dataset.groups[static_cast<size_t>(g)];
    for (int32_t i = group.begin; i < group.end; ++i) {
      CHECK(dataset.examples[static_cast<size_t>(i)].group == g);
    }
  }
}

TEST_CASE("Token data set: too long is an error that names the first line and the count") {
  const std::vector<Example> examples = {example(0, 0, "。", "？", "，"),
                                         example(1, 0, "。。，。，", "？", "，"),
                                         example(2, 1, "，，，，，", "？", "，")};
  CHECK_THROWS_WITH(tokenize(examples, {8, TooLong::kError}),
                    "f.jsonl:2: an example must have at most 8 tokens, got 10; 2 example(s) are "
                    "too long");
  CHECK(tokenize(examples, {10, TooLong::kError}).size() == 3);
}

TEST_CASE("Token data set: dropped examples are listed by line, task and length") {
  const TokenDataset dataset =
      tokenize({example(0, 0, "，。，。，。", "？", "，"), example(1, 3, "。", "？", "，")},
               {8, TooLong::kDrop});
  REQUIRE(dataset.size() == 1);
  CHECK(dataset.examples[0].report == 1);
  REQUIRE(dataset.cuts.size() == 1);
  CHECK(dataset.cuts[0].source.line == 1);
  CHECK(dataset.cuts[0].tokens == 11);
  CHECK(dataset.cuts[0].kept == 0);
}

TEST_CASE("Token data set: shortening cuts the end of the context and nothing else") {
  const TokenDataset dataset =
      tokenize({example(0, 0, "，。、：！？", "？", "，")}, {8, TooLong::kShortenContext});
  CHECK(tokens(dataset, 0) == Ids{195, 65, 66, 69, 5, 68, 196, 65});
  CHECK(targets(dataset, 0) == Ids{-1, -1, -1, -1, -1, -1, 65, 2});
  REQUIRE(dataset.cuts.size() == 1);
  CHECK(dataset.cuts[0].tokens == 11);
  CHECK(dataset.cuts[0].kept == 8);
}

TEST_CASE("Token data set: shortening does not tear the bytes of a character") {
  // 𠮷 is 4 byte ids; a limit inside them cuts before the first.
  const TokenDataset dataset =
      tokenize({example(0, 0, "，𠮷𠮷", "？", "，")}, {12, TooLong::kShortenContext});
  CHECK(small_tokenizer().decode(dataset.prefix(0)) == "，𠮷");
  const TokenDataset shorter =
      tokenize({example(0, 0, "，𠮷𠮷", "？", "，")}, {9, TooLong::kShortenContext});
  CHECK(small_tokenizer().decode(shorter.prefix(0)) == "，");
}

TEST_CASE("Token data set: what no shortening makes fit is left out and listed") {
  const TokenDataset dataset = tokenize(
      {example(0, 0, "，。", "？", "，。，。，。"), example(0, 1, "", "？？？？？？？？", "，")},
      {8, TooLong::kShortenContext});
  CHECK(dataset.size() == 0);
  CHECK(dataset.groups.empty());
  CHECK(dataset.cuts.size() == 2);
}

TEST_CASE("Token data set: a context is not shortened to nothing") {
  // The branch has 4 tokens; the role and one token of the context must fit beside it.
  const std::vector<Example> examples = {example(0, 0, "，。，。", "？", "，")};
  CHECK(tokenize(examples, {5, TooLong::kShortenContext}).size() == 0);
  CHECK(tokens(tokenize(examples, {6, TooLong::kShortenContext}), 0) ==
        Ids{195, 65, 5, 68, 196, 65});
}

TEST_CASE("Token data set: conversations are Baichuan2's own labels, shifted") {
  const std::vector<Conversation> conversations = {{"c",
                                                    {{Role::kUser, "。"},
                                                     {Role::kAssistant, "，"},
                                                     {Role::kUser, "？"},
                                                     {Role::kAssistant, "、："}},
                                                    {"c.json", 1}}};
  const TokenDataset dataset = tokenize_conversations(conversations, small_tokenizer(), {});
  // The official script: ids 195 66 | 196 65 | 195 68 | 196 69 70 | 2, labels
  //                         2 -100 | -100 65 | 2 -100 | -100 69 70 | 2; row i learns label i + 1.
  CHECK(dataset.examples[0].branch == Ids{195, 66, 196, 65, 195, 68, 196, 69, 70});
  CHECK(dataset.examples[0].targets == Ids{-1, -1, 65, 2, -1, -1, 69, 70, 2});
  CHECK(dataset.examples[0].answer_row == 6);
  CHECK(dataset.examples[0].task == -1);
  CHECK(dataset.groups[0].prefix.empty());
  CHECK(tokenize_conversations(conversations, small_tokenizer(), {8, TooLong::kDrop}).size() == 0);
}

TEST_CASE("Token data set: appending keeps groups and examples together") {
  TokenDataset dataset =
      tokenize({example(0, 0, "甲", "一", "答"), example(0, 1, "甲", "二", "答")});
  const TokenDataset more = tokenize({example(1, 0, "乙", "一", "答")});
  append(dataset, more);
  CHECK(dataset.size() == 3);
  CHECK(dataset.groups.size() == 2);
  CHECK(dataset.groups[1].begin == 2);
  CHECK(dataset.groups[1].end == 3);
  CHECK(tokens(dataset, 2) == tokens(more, 0));
}
