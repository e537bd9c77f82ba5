#include "libradgpt/eval/metrics/word_segmenter.h"

#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "libradgpt/base/error.h"
#include "libradgpt/eval/metrics/text_metrics.h"
#include "tests/catch.h"
#include "tests/eval_metrics/golden_texts.h"
#include "tests/eval_metrics/temporary_folder.h"

using namespace radgpt;

namespace {

const std::string kJieba = RADGPT_SOURCE_DIR "/third_party/jieba";

const std::string kDictionary =
    "结节 100 n\n"
    "肺 10\n"
    "右肺 30\n"
    "右 10\n"
    "上叶 20 n\n"
    "玻璃影 5\n";  // 玻 and 玻璃 only begin a word

/// Prefers two characters a word: B is likely at first, and E after it.
const std::string kModel =
    "start B -0.1\nstart S -3\n"
    "trans B E -0.1\ntrans B M -5\ntrans M E -1\ntrans M M -1\n"
    "trans E B -0.1\ntrans E S -3\ntrans S B -1\ntrans S S -1\n"
    "emit B 磨 -1\nemit E 玻 -1\nemit B 璃 -1\nemit S 璃 -1\n";

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : "/") + word;
  return text;
}

/// The segmenter of the small dictionary above.
struct SmallSegmenter {
  SmallSegmenter() {
    folder.write("dict.txt", kDictionary);
    folder.write("hmm.txt", kModel);
  }
  std::string cut(const std::string& text) const {
    return joined(WordSegmenter(folder.path()).cut(text));
  }
  TemporaryFolder folder;
};

std::string refusal(const TemporaryFolder& folder) {
  try {
    find_word_segmenter(folder.path(), "");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    return error.what();
  }
  return "accepted";
}

/// jieba's dictionary, or nothing with a line that says so.
std::optional<WordSegmenter> jieba(const std::string& user_dictionary = "") {
  auto segmenter = find_word_segmenter(kJieba, user_dictionary);
  if (!segmenter) std::cout << "skipped: no third_party/jieba\n";
  return segmenter;
}

}  // namespace

TEST_CASE("Word segmenter: the most probable split wins, and the longer word of equals") {
  WordDictionary dictionary;
  dictionary.add(U"ab", 10);
  dictionary.add(U"a", 10);
  dictionary.add(U"b", 20);
  dictionary.add(U"bc", 1);
  // ab|c: 10/41 1/41 against a|bc: 10/41 1/41 (c begins no word and counts 1): the longer first.
  CHECK(dictionary.best_split(U"abc") == std::vector<size_t>{2, 3});
  dictionary.add(U"bc", 2);
  CHECK(dictionary.best_split(U"abc") == std::vector<size_t>{1, 3});
}

TEST_CASE("Word segmenter: a character that only begins words is no word where one fits") {
  WordDictionary dictionary;
  dictionary.add(U"ab", 1);
  dictionary.add(U"b", 1000000);
  CHECK(dictionary.best_split(U"ab") == std::vector<size_t>{2});
  CHECK(dictionary.best_split(U"aab") == std::vector<size_t>{1, 3});
}

TEST_CASE("Word segmenter: a character that begins a word but is none counts as frequency 1") {
  WordDictionary dictionary;
  for (const auto& [word, frequency] :
       {std::pair{U"ab", 1000}, {U"a", 1}, {U"bx", 1}, {U"xy", 1}}) {
    dictionary.add(word, frequency);
  }
  CHECK(dictionary.best_split(U"abx") == std::vector<size_t>{2, 3});
}

TEST_CASE("Word segmenter: known words, signs and white space") {
  const SmallSegmenter small;
  CHECK(small.cut("右肺上叶结节。") == "右肺/上叶/结节/。");
  CHECK(small.cut("结节，\r\n\t结节") == "结节/，/\r\n/\t/结节");
  CHECK(small.cut("") == "");
}

TEST_CASE("Word segmenter: the hidden Markov model joins unknown characters") {
  const SmallSegmenter small;
  CHECK(small.cut("磨玻结节") == "磨玻/结节");
  CHECK(small.cut("磨玻磨玻") == "磨玻/磨玻");
  CHECK(small.cut("磨结节") == "磨/结节");
}

TEST_CASE("Word segmenter: Latin words and numbers stay whole, signs between them too") {
  const SmallSegmenter small;
  CHECK(small.cut("结节1.5cm") == "结节/1.5/cm");
  CHECK(small.cut("30%M1") == "30%/M1");
  CHECK(small.cut("1.a+-b") == "1/./a/+-/b");
}

TEST_CASE("Word segmenter: words joined give the text again, whatever it is") {
  const SmallSegmenter small;
  const WordSegmenter segmenter(small.folder.path());
  for (const GoldenText& golden : golden_texts()) {
    std::string text;
    for (const std::string& word : segmenter.cut(golden.reference)) text += word;
    CHECK(text == golden.reference);
  }
}

TEST_CASE("Word segmenter: a user's word is preferred to its parts") {
  const SmallSegmenter small;
  WordSegmenter segmenter(small.folder.path());
  CHECK(joined(segmenter.cut("右肺上叶结节")) == "右肺/上叶/结节");
  segmenter.add_words(small.folder.write("user.txt", "\xEF\xBB\xBF右肺上叶\n"));
  CHECK(joined(segmenter.cut("右肺上叶")) == "右肺上叶");
  segmenter.add_words(small.folder.write("user.txt", "\n右肺\n上叶结节 1000 n\n"));
  CHECK(joined(segmenter.cut("上叶结节")) == "上叶结节");
}

TEST_CASE("Word segmenter: faulty files are named with their line, without their text") {
  const TemporaryFolder folder;
  folder.write("hmm.txt", kModel);
  const auto refuse = [&](const std::string& dictionary) {
    folder.write("dict.txt", dictionary);
    const std::string message = refusal(folder);
    CHECK(message.find("结节") == std::string::npos);
    return message.substr(std::min(message.size(), folder.path().size()));
  };
  CHECK(refuse("结节 1\n结节\n") ==
        "/dict.txt:2: word frequency [tag], got a line of 1 fields and 6 bytes");
  CHECK(refuse("结节 many\n") ==
        "/dict.txt:1: frequency must be an integer >= 0, got a line of 2 fields and 11 bytes");
  CHECK(refuse("结\xE8 1\n").find(":1: text must be UTF-8") != std::string::npos);
  CHECK(refuse("").find("at least one word") != std::string::npos);
}

TEST_CASE("Word segmenter: a faulty model is refused") {
  const TemporaryFolder folder;
  folder.write("dict.txt", kDictionary);
  for (const char* line : {"begin B 1\n", "start X 1\n", "start B\n", "trans B E zero\n",
                           "emit B 结节 -1\n", "trans B Q 1\n"}) {
    folder.write("hmm.txt", line);
    INFO(line);
    CHECK(refusal(folder).find("/hmm.txt:1: ") != std::string::npos);
  }
}

TEST_CASE("Word segmenter: without its files there is none") {
  const TemporaryFolder folder;
  CHECK_FALSE(find_word_segmenter(folder.path(), "").has_value());
  folder.write("dict.txt", kDictionary);
  CHECK_FALSE(find_word_segmenter(folder.path(), "").has_value());
}

TEST_CASE("Word segmenter: golden words of jieba and scores of LLaMA-Factory") {
  const auto segmenter = jieba();
  if (!segmenter) return;
  for (const GoldenText& golden : golden_texts()) {
    INFO(golden.prediction << " | " << golden.reference);
    const auto prediction = segmenter->cut(golden.prediction);
    const auto reference = segmenter->cut(golden.reference);
    CHECK(joined(prediction) == golden.cut_prediction);
    CHECK(joined(reference) == golden.cut_reference);
    const TextScores scores = score_tokens(prediction, reference);
    CHECK(scores.rouge_1 == Approx(golden.words.rouge_1).margin(1e-4));
    CHECK(scores.rouge_2 == Approx(golden.words.rouge_2).margin(1e-4));
    CHECK(scores.rouge_l == Approx(golden.words.rouge_l).margin(1e-4));
  }
}

TEST_CASE("Word segmenter: a radiology word list mends jieba's cuts") {
  const TemporaryFolder folder;
  const auto segmenter = jieba(folder.write("user.txt", "磨玻璃结节 20 n\n腔隙性脑梗死\n"));
  if (!segmenter) return;
  CHECK(joined(segmenter->cut("右肺上叶磨玻璃结节")) == "右肺/上/叶/磨玻璃结节");
  CHECK(joined(segmenter->cut("基底节区腔隙性脑梗死")) == "基底节/区/腔隙性脑梗死");
}
