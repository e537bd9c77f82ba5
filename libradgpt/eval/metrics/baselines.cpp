#include "libradgpt/eval/metrics/baselines.h"

#include <cmath>
#include <unordered_map>
#include <utility>

#include "libradgpt/base/error.h"
#include "libradgpt/base/text.h"
#include "libradgpt/eval/metrics/code_points.h"
#include "libradgpt/eval/metrics/ngram_index.h"

namespace radgpt {
namespace {

void check(const TrainingPairs& pairs) {
  require(!pairs.answers.empty() && pairs.contexts.size() == pairs.answers.size(),
          "baseline: must have one answer a context and at least one, got ", pairs.contexts.size(),
          " contexts and ", pairs.answers.size(), " answers");
}

class Majority : public Baseline {
 public:
  explicit Majority(const TrainingPairs& pairs) {
    check(pairs);
    std::unordered_map<std::string, int> counts;
    for (const std::string& answer : pairs.answers) ++counts[answer];
    int most = 0;
    for (const std::string& answer : pairs.answers) {
      if (counts[answer] <= most) continue;
      most = counts[answer];
      answer_ = answer;
    }
  }
  std::string name() const override { return "majority"; }
  std::string answer(std::string_view) const override { return answer_; }

 private:
  std::string answer_;
};

class Lead : public Baseline {
 public:
  explicit Lead(const TrainingPairs& pairs) {
    check(pairs);
    for (const std::string& answer : pairs.answers) {
      length_ += static_cast<double>(code_points(answer).size());
    }
    length_ /= static_cast<double>(pairs.answers.size());
  }
  std::string name() const override { return "lead"; }

  std::string answer(std::string_view context) const override {
    constexpr std::u32string_view kSentenceEnds = U"。！？；!?;\n";
    const std::u32string text = code_points(context);
    size_t best = text.size();
    for (size_t end = text.find_first_of(kSentenceEnds); end < text.size();
         end = text.find_first_of(kSentenceEnds, end + 1)) {
      if (miss(end + 1) < miss(best) || (miss(end + 1) == miss(best) && end + 1 < best))
        best = end + 1;
      if (static_cast<double>(end) > length_) break;
    }
    return encode_utf8(std::u32string_view(text).substr(0, best));
  }

 private:
  double miss(size_t length) const { return std::abs(static_cast<double>(length) - length_); }

  double length_ = 0;  ///< mean of the answers, in characters
};

class NearestNeighbour : public Baseline {
 public:
  explicit NearestNeighbour(const TrainingPairs& pairs)
      : index_(pairs.contexts), answers_(pairs.answers) {
    check(pairs);
  }
  std::string name() const override { return "nearest neighbour"; }
  std::string answer(std::string_view context) const override {
    return answers_[index_.most_similar(context)];
  }

 private:
  NgramIndex index_;
  std::vector<std::string> answers_;
};

}  // namespace

std::unique_ptr<Baseline> make_majority_baseline(const TrainingPairs& pairs) {
  return std::make_unique<Majority>(pairs);
}

std::unique_ptr<Baseline> make_lead_baseline(const TrainingPairs& pairs) {
  return std::make_unique<Lead>(pairs);
}

std::unique_ptr<Baseline> make_nearest_neighbour_baseline(const TrainingPairs& pairs) {
  return std::make_unique<NearestNeighbour>(pairs);
}

std::vector<std::unique_ptr<Baseline>> make_baselines(TaskKind kind, const TrainingPairs& pairs) {
  std::vector<std::unique_ptr<Baseline>> baselines;
  baselines.push_back(kind == TaskKind::kClassification ? make_majority_baseline(pairs)
                                                        : make_lead_baseline(pairs));
  baselines.push_back(make_nearest_neighbour_baseline(pairs));
  return baselines;
}

}  // namespace radgpt
