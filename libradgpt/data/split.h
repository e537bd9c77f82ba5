#pragma once

#include <string>
#include <string_view>

namespace radgpt {

/// What a report is for: learning, choosing and calibrating, or scoring.
enum class Split { kTrain, kValidation, kTest };

/// Number of splits.
inline constexpr int kSplits = 3;

/// "train", "validation", "test".
std::string_view split_name(Split split);

/// How patients are spread. The rest after validation and test is for training.
struct SplitOptions {
  std::string salt = "radgpt";  ///< another salt, another split
  double validation = 0.1;
  double test = 0.1;
};

/// The split of all reports of a patient: SHA-256 of salt and patient, read as a number in [0, 1).
/// It depends on nothing else, so adding data never moves a patient.
/// Throws Error(kInput) unless validation, test and their sum lie in [0, 1].
Split split_of(std::string_view patient, const SplitOptions& options);

}  // namespace radgpt
