#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "libradgpt/data/task.h"

namespace radgpt {

/// What a model has to beat: answers a task from its training examples without a model.
class Baseline {
 public:
  virtual ~Baseline() = default;
  /// One of kBaselineNames.
  virtual std::string name() const = 0;
  /// Its answer to the question about `context`, UTF-8.
  virtual std::string answer(std::string_view context) const = 0;
};

/// The training examples of one task: the answer to contexts[i] is answers[i].
struct TrainingPairs {
  std::vector<std::string> contexts;
  std::vector<std::string> answers;
};

/// The names of all, in the order of tables: those that know least first.
inline constexpr std::array<std::string_view, 3> kBaselineNames = {"majority", "lead",
                                                                   "nearest neighbour"};

/// Always the most frequent answer; of equally frequent ones the one that occurs first.
std::unique_ptr<Baseline> make_majority_baseline(const TrainingPairs& pairs);

/// The first sentences of the context, whole ones (up to 。！？；!?; or a line feed) and at least
/// one, as many as bring its length nearest to the mean length of the training answers in
/// characters; of two as near the shorter.
std::unique_ptr<Baseline> make_lead_baseline(const TrainingPairs& pairs);

/// The answer of the training example whose context is most similar (see NgramIndex).
std::unique_ptr<Baseline> make_nearest_neighbour_baseline(const TrainingPairs& pairs);

/// Those that make sense for a task: majority and nearest neighbour for a classification, lead and
/// nearest neighbour for a generation. Throws Error(kInput) if there are no pairs or if contexts
/// and answers differ in number.
std::vector<std::unique_ptr<Baseline>> make_baselines(TaskKind kind, const TrainingPairs& pairs);

}  // namespace radgpt
