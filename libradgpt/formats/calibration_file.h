#pragma once

#include <map>
#include <string>

namespace radgpt {

/// The range of a fitted temperature (fit_temperature in eval/metrics).
inline constexpr double kLowestTemperature = 0.1;
inline constexpr double kHighestTemperature = 10;

/// What an evaluation has fitted: the temperature of the label probabilities by system (base,
/// adapter, model), then by the name of the classification.
using Calibration = std::map<std::string, std::map<std::string, double>>;

/// Reads `{"temperatures": {SYSTEM: {TASK: NUMBER}}}` from calibration.json. Throws Error(kInput)
/// "PATH: KEY: rule, got …" for anything else in it and for a number out of the range above.
Calibration read_calibration(const std::string& path);

/// Writes that file, wholly or not at all. Throws Error(kEnvironment).
void write_calibration(const std::string& path, const Calibration& calibration);

}  // namespace radgpt
