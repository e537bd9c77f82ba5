#include "libradgpt/eval/metrics/label_parser.h"

#include <string>
#include <vector>

#include "libradgpt/base/error.h"
#include "tests/catch.h"

using namespace radgpt;

namespace {

struct Case {
  std::string answer;
  int label;
  LabelRule rule;
};

void check(const LabelParser& parser, const std::vector<Case>& cases) {
  for (const Case& expected : cases) {
    INFO(expected.answer);
    const ParsedLabel parsed = parser.parse(expected.answer);
    CHECK(parsed.label == expected.label);
    CHECK(parsed.rule == expected.rule);
  }
}

constexpr int kInvalid = kInvalidAnswer;

}  // namespace

TEST_CASE("Label parser: the first rule that applies decides") {
  const LabelParser parser({{"阴性", {"未见异常", "正常"}}, {"阳性", {"异常"}}});
  check(parser, {{"阳性", 1, LabelRule::kExact},
                 {" 阳性。\n", 1, LabelRule::kExact},
                 {"“阴性”", 0, LabelRule::kExact},
                 {"未见异常。", 0, LabelRule::kExact},
                 {"结论：阳性。\n理由：右肺结节", 1, LabelRule::kAfterColon},
                 {"请判断阴性还是阳性: 阴性", 0, LabelRule::kAfterColon},
                 {"该报告为阳性，见结节。", 1, LabelRule::kScan},
                 {"结论：\n阳性", 1, LabelRule::kScan},
                 {"阴性或阳性", kInvalid, LabelRule::kAmbiguous},
                 {"无法判断", kInvalid, LabelRule::kNone},
                 {"", kInvalid, LabelRule::kNone}});
}

TEST_CASE("Label parser: a form inside a longer form is not seen") {
  const LabelParser parser({{"阴性", {"未见异常"}}, {"阳性", {"异常"}}});
  check(parser, {{"双肺未见异常", 0, LabelRule::kScan}, {"双肺有异常", 1, LabelRule::kScan}});
  const LabelParser places({{"肺", {}}, {"肺门", {}}});
  check(places, {{"位于肺门区", 1, LabelRule::kScan}, {"位于肺内", 0, LabelRule::kScan}});
}

TEST_CASE("Label parser: negated forms do not count") {
  const LabelParser parser({{"阴性", {}}, {"阳性", {"异常"}}});
  check(parser, {{"非阳性", kInvalid, LabelRule::kNone},
                 {"未见明显异常", kInvalid, LabelRule::kNone},
                 {"不是阳性，而是阴性", 0, LabelRule::kScan},
                 {"未见结节。阳性", 1, LabelRule::kScan},
                 {"未见双侧胸腔积液及心包阳性", 1, LabelRule::kScan},  // out of reach
                 {"阳性除外", kInvalid, LabelRule::kNone}});
}

TEST_CASE("Label parser: Latin labels match whole words only") {
  const LabelParser parser({{"yes", {}}, {"no", {}}, {"II", {}}, {"III", {}}});
  check(parser, {{"It is normal", kInvalid, LabelRule::kNone},
                 {"The answer is yes", 0, LabelRule::kScan},
                 {"not yes", kInvalid, LabelRule::kNone},
                 {"分期III期", 3, LabelRule::kScan},
                 {"IIII", kInvalid, LabelRule::kNone}});
}

TEST_CASE("Label parser: full-width letters are those of ASCII") {
  const LabelParser parser({{"CT", {}}, {"MR", {}}});
  check(parser, {{"ＣＴ", 0, LabelRule::kExact}, {"检查：　ＭＲ！", 1, LabelRule::kAfterColon}});
}

TEST_CASE("Label parser: forms that cannot be told apart are refused") {
  CHECK_THROWS_AS(LabelParser(std::vector<LabelForms>{{"阳性", {}}, {"阴性", {"阳性。"}}}), Error);
  CHECK_THROWS_AS(LabelParser(std::vector<LabelForms>{{"。", {}}}), Error);
  CHECK_NOTHROW(LabelParser(std::vector<LabelForms>{{"阳性", {"阳性"}}}));
}
