#include "libradgpt/eval/metrics/baselines.h"

#include <cmath>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "libradgpt/base/error.h"
#include "libradgpt/eval/metrics/ngram_index.h"
#include "tests/catch.h"

using namespace radgpt;

namespace {

std::map<std::string, double> grams(const std::string& text) {
  std::map<std::string, double> counts;
  for (size_t n : {2, 3}) {
    for (size_t i = 0; i + n <= text.size(); ++i) ++counts[text.substr(i, n)];
  }
  return counts;
}

/// Cosines by the definition, for ASCII texts.
std::vector<double> plain_cosines(const std::vector<std::string>& texts, const std::string& query) {
  const auto weight = [&](const std::string& gram, double count) {
    double with_gram = 0;
    for (const std::string& text : texts) with_gram += text.find(gram) != std::string::npos;
    return count * (1 + std::log((1.0 + texts.size()) / (1.0 + with_gram)));
  };
  std::vector<double> cosines;
  for (const std::string& text : texts) {
    double product = 0, square = 0;
    const auto wanted = grams(query);
    for (const auto& [gram, count] : grams(text)) {
      const double of_text = weight(gram, count);
      square += of_text * of_text;
      if (wanted.count(gram)) product += of_text * weight(gram, wanted.at(gram));
    }
    cosines.push_back(square == 0 ? 0 : product / std::sqrt(square));
  }
  return cosines;
}

}  // namespace

TEST_CASE("Baselines: majority is the most frequent answer, the first of equals") {
  const auto majority =
      make_majority_baseline({{"a", "b", "c", "d", "e"}, {"2", "1", "2", "1", "3"}});
  CHECK(majority->answer("anything") == "2");
}

TEST_CASE("Baselines: lead takes whole sentences nearest to the mean answer") {
  // Sentences end after 4, 8 and 13 characters.
  const std::string context = "右肺一。左肺二；心脏三四！";
  const auto lead_of = [&](int characters) {
    std::string answer;
    for (int i = 0; i < characters; ++i) answer += "字";
    return make_lead_baseline({{""}, {answer}})->answer(context);
  };
  CHECK(lead_of(1) == "右肺一。");
  CHECK(lead_of(5) == "右肺一。");
  CHECK(lead_of(6) == "右肺一。");  // as near: the shorter
  CHECK(lead_of(7) == "右肺一。左肺二；");
  CHECK(lead_of(100) == context);
}

TEST_CASE("Baselines: lead takes the mean length of the answers in characters") {
  const auto lead = make_lead_baseline({{"", ""}, {"字", "字字字字字字字"}});  // 4
  CHECK(lead->answer("右肺一。左肺二。") == "右肺一。");
  CHECK(lead->answer("没有句号") == "没有句号");
  CHECK(lead->answer("") == "");
}

TEST_CASE("Baselines: nearest neighbour gives the answer of the most similar context") {
  const auto nearest = make_nearest_neighbour_baseline(
      {{"右肺上叶结节", "左侧基底节区梗死", "甲状腺右叶结节"}, {"肺", "脑", "甲状腺"}});
  CHECK(nearest->answer("左侧基底节区多发梗死") == "脑");
  CHECK(nearest->answer("甲状腺左叶结节") == "甲状腺");
  CHECK(nearest->answer("无关") == "肺");  // nothing in common: the first
}

TEST_CASE("Baselines: the most similar text is that of the plain formula") {
  std::mt19937 random(1);
  const auto random_text = [&] {
    std::string text(random() % 20, ' ');
    for (char& c : text) c = "abcde"[random() % 5];
    return text;
  };
  std::vector<std::string> texts;
  for (int i = 0; i < 40; ++i) texts.push_back(random_text());
  const NgramIndex index(texts);
  for (int i = 0; i < 100; ++i) {
    const std::string query = random_text();
    const std::vector<double> cosines = plain_cosines(texts, query);
    double best = 0;
    for (const double cosine : cosines) best = std::max(best, cosine);
    // The index keeps weights as floats, so nearly equal texts may change places.
    CHECK(cosines[index.most_similar(query)] == Approx(best).epsilon(1e-6).margin(1e-12));
  }
}

TEST_CASE("Baselines: of equal contexts the first one answers") {
  const auto nearest =
      make_nearest_neighbour_baseline({{"别的文字", "结节", "结节"}, {"a", "b", "c"}});
  CHECK(nearest->answer("结节") == "b");
}

TEST_CASE("Baselines: each kind of task has its own") {
  const TrainingPairs pairs{{"a"}, {"b"}};
  const auto classification = make_baselines(TaskKind::kClassification, pairs);
  REQUIRE(classification.size() == 2);
  CHECK(classification[0]->name() == "majority");
  CHECK(classification[1]->name() == "nearest neighbour");
  CHECK(make_baselines(TaskKind::kGeneration, pairs)[0]->name() == "lead");
}

TEST_CASE("Baselines: without training examples there are none") {
  CHECK_THROWS_AS(make_baselines(TaskKind::kGeneration, {}), Error);
  CHECK_THROWS_AS(make_nearest_neighbour_baseline({}), Error);
  CHECK_THROWS_AS(make_nearest_neighbour_baseline({{"a", "b"}, {"c"}}), Error);
}
