#include "libradgpt/data/duplicates.h"

#include <set>

#include "libradgpt/base/error.h"
#include "libradgpt/base/random.h"
#include "libradgpt/base/text.h"
#include "tests/catch.h"

using namespace radgpt;

namespace {

// --- the same counts, text pair by text pair -----------------------------------------------------

std::set<std::u32string> grams(const std::string& text) {
  const std::u32string all = decode_utf8(normalise_for_comparison(text));
  std::set<std::u32string> result;
  if (all.size() < 5) result.insert(all);
  for (size_t i = 0; i + 5 <= all.size(); ++i) result.insert(all.substr(i, 5));
  return result;
}

double jaccard(const std::set<std::u32string>& a, const std::set<std::u32string>& b) {
  size_t common = 0;
  for (const auto& gram : a) common += b.count(gram);
  return static_cast<double>(common) / static_cast<double>(a.size() + b.size() - common);
}

struct PairwiseCounts {
  TwinCounts exact{};
  TwinCounts near{};
};

PairwiseCounts count_pairwise(const std::vector<SplitText>& texts, double threshold) {
  PairwiseCounts result;
  std::vector<std::set<std::u32string>> sets;
  for (const SplitText& text : texts) sets.push_back(grams(text.text));
  for (size_t i = 0; i < texts.size(); ++i) {
    std::array<bool, kSplits> exact{};
    std::array<bool, kSplits> near{};
    for (size_t j = 0; j < texts.size(); ++j) {
      if (i == j) continue;
      const auto split = static_cast<size_t>(texts[j].split);
      const bool same =
          normalise_for_comparison(texts[i].text) == normalise_for_comparison(texts[j].text);
      exact[split] |= same;
      near[split] |= !same && jaccard(sets[i], sets[j]) >= threshold;
    }
    for (size_t split = 0; split < kSplits; ++split) {
      result.exact[static_cast<size_t>(texts[i].split)][split] += exact[split];
      result.near[static_cast<size_t>(texts[i].split)][split] += near[split];
    }
  }
  return result;
}

/// Texts of templates with a few random places, so that there are twins of all degrees.
std::vector<SplitText> random_texts(uint64_t seed, int count) {
  Random random(seed, RandomStream::kSimulation);
  const std::vector<std::string> words = {"结节",      "肿块",     "囊肿",   "积液",
                                          "双肺",      "右肺上叶", "边界清", "较前相仿",
                                          "大小约8mm", "Ａ b",     "。",     "，"};
  std::vector<SplitText> texts;
  for (int i = 0; i < count; ++i) {
    const auto length = 1 + random.next_below(40);
    std::string text;
    Random base(seed, RandomStream::kSimulation, 1 + random.next_below(6));
    for (uint32_t w = 0; w < length; ++w) {
      auto& source = random.next_below(30) == 0 ? random : base;
      text += words[source.next_below(static_cast<uint32_t>(words.size()))];
    }
    texts.push_back({text, static_cast<Split>(random.next_below(3)), {"f", i + 1}});
  }
  return texts;
}

}  // namespace

TEST_CASE("Duplicates: white space, full-width forms and case do not tell texts apart") {
  CHECK(normalise_for_comparison(" 双肺\t清晰。\r\n") == "双肺清晰。");
  CHECK(normalise_for_comparison("双肺　清晰。") == "双肺清晰。");
  CHECK(normalise_for_comparison("Ｔ２ＷＩ：（高）") == "t2wi:(高)");
  CHECK(normalise_for_comparison("T2WI") == normalise_for_comparison("t2wi"));
  CHECK(normalise_for_comparison("左") != normalise_for_comparison("右"));
  CHECK(normalise_for_comparison(" \xE3\x80\x80\n").empty());
}

TEST_CASE("Duplicates: exact twins are counted by split and leaks name both lines") {
  const std::vector<SplitText> texts = {
      {"双肺清晰。", Split::kTrain, {"a.jsonl", 1}}, {"双肺 清晰。", Split::kTrain, {"a.jsonl", 2}},
      {"肝囊肿。", Split::kTrain, {"a.jsonl", 3}},   {"双肺清晰。", Split::kTest, {"b.jsonl", 1}},
      {"脾大。", Split::kTest, {"b.jsonl", 2}},
  };
  const Duplicates found = find_duplicates(texts, 0.9);
  CHECK(found.exact == TwinCounts{{{2, 0, 2}, {0, 0, 0}, {1, 0, 0}}});
  CHECK(found.near == TwinCounts{});
  REQUIRE(found.leaks.size() == 1);
  CHECK(found.leaks[0].held_out.file == "b.jsonl");
  CHECK(found.leaks[0].held_out.line == 1);
  CHECK(found.leaks[0].seen.file == "a.jsonl");
  CHECK(found.leaks[0].seen.line == 1);
}

TEST_CASE("Duplicates: a text is seen if a later split has it too") {
  struct Row {
    std::vector<Split> splits;  ///< of texts that are all the same
    std::vector<size_t> seen;
  };
  const Row table[] = {
      {{Split::kTrain}, {}},
      {{Split::kTrain, Split::kTrain}, {}},
      {{Split::kTest, Split::kTest}, {}},
      {{Split::kTrain, Split::kTest}, {0}},
      {{Split::kTest, Split::kTrain, Split::kTrain}, {1, 2}},
      {{Split::kTrain, Split::kValidation}, {0}},
      {{Split::kValidation, Split::kTest}, {0}},
      {{Split::kTrain, Split::kValidation, Split::kTest}, {0, 1}},
  };
  for (const Row& row : table) {
    std::vector<SplitText> texts = {{"肝囊肿。", Split::kTrain, {}}};
    for (const Split split : row.splits) texts.insert(texts.end() - 1, {"脾大。", split, {}});
    CHECK(find_seen(texts) == row.seen);
  }
}

TEST_CASE("Duplicates: the threshold is met exactly, by hand") {
  // 10 characters have 6 grams; the first 9 of them have 5 of these: Jaccard 5/6.
  const std::vector<SplitText> texts = {{"abcdefghij", Split::kTrain, {}},
                                        {"abcdefghi", Split::kValidation, {}}};
  CHECK(find_duplicates(texts, 5.0 / 6).near[1][0] == 1);
  CHECK(find_duplicates(texts, 5.0 / 6).near[0][1] == 1);
  CHECK(find_duplicates(texts, 5.0 / 6 + 1e-6).near == TwinCounts{});
}

TEST_CASE("Duplicates: the counts are those of comparing all pairs") {
  const double threshold = GENERATE(1e-12, 0.3, 0.5, 0.8, 0.9, 1.0);
  for (uint64_t seed = 0; seed < 6; ++seed) {
    const auto texts = random_texts(seed, 120);
    const Duplicates found = find_duplicates(texts, threshold);
    const PairwiseCounts expected = count_pairwise(texts, threshold);
    CHECK(found.exact == expected.exact);
    CHECK(found.near == expected.near);
  }
}

TEST_CASE("Duplicates: the random texts above do hold near twins") {
  int twins = 0;
  for (const auto& row : count_pairwise(random_texts(0, 120), 0.8).near) {
    for (const int count : row) twins += count;
  }
  CHECK(twins > 20);
}

TEST_CASE("Duplicates: threshold 0 leaves near duplicates out, others are refused") {
  const std::vector<SplitText> texts = {{"abcdefghij", Split::kTrain, {}},
                                        {"abcdefghi", Split::kTest, {}}};
  CHECK(find_duplicates(texts, 0).near == TwinCounts{});
  CHECK_THROWS_AS(find_duplicates(texts, -0.1), Error);
  CHECK_THROWS_AS(find_duplicates(texts, 1.1), Error);
  CHECK(find_duplicates({}, 0.9).leaks.empty());
}
