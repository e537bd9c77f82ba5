#include "libradgpt/formats/calibration_file.h"

#include <nlohmann/json.hpp>

#include "libradgpt/base/files.h"
#include "libradgpt/formats/json.h"

namespace radgpt {
namespace {

constexpr uint64_t kLargestFile = 1 << 20;
const std::string kTemperatures = "temperatures";

}  // namespace

Calibration read_calibration(const std::string& path) {
  const nlohmann::json root = read_json_file(path, kLargestFile);
  const JsonObject object(root, path);
  for (const auto& [key, value] : root.items()) {
    if (key != kTemperatures) object.refuse(key, "absent");
  }
  const JsonObject systems = object.object(kTemperatures);
  Calibration calibration;
  for (const auto& [system, tasks] : root.at(kTemperatures).items()) {
    const JsonObject numbers = systems.object(system);
    std::map<std::string, double>& fitted = calibration[system];
    for (const auto& [task, value] : tasks.items()) {
      fitted[task] = numbers.number(task, kLowestTemperature, kHighestTemperature);
    }
  }
  return calibration;
}

void write_calibration(const std::string& path, const Calibration& calibration) {
  const nlohmann::json root = {{kTemperatures, calibration}};
  write_file_atomically(path, root.dump(2) + "\n");
}

}  // namespace radgpt
