#include "libradgpt/config/faults.h"

#include <algorithm>
#include <limits>
#include <tuple>

#include "libradgpt/base/error.h"

namespace radgpt {
namespace {

constexpr size_t kShownFaults = 50;

}  // namespace

void Faults::add(const YamlNode& place, const std::string& rule) {
  // What has no line (the file as a whole, an argument) comes last.
  const int line = place.line == 0 ? std::numeric_limits<int>::max() : place.line;
  faults_.push_back({line, place.column, concat(place.place(), ": ", rule)});
}

void Faults::add(const YamlNode& place, const std::string& key, const std::string& rule) {
  keys_.insert(key);
  add(place, concat(key, ": ", rule));
}

void Faults::add_message(const std::string& message) {
  faults_.push_back({std::numeric_limits<int>::max(), 0, message});
}

bool Faults::concern(const std::string& key) const {
  const auto part = keys_.lower_bound(key + ".");
  if (part != keys_.end() && part->starts_with(key + ".")) return true;
  for (size_t end = key.size(); end != std::string::npos; end = key.rfind('.', end - 1)) {
    if (keys_.count(key.substr(0, end)) > 0) return true;
  }
  return false;
}

std::vector<std::string> Faults::lines() const {
  std::vector<Fault> sorted = faults_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Fault& a, const Fault& b) {
    return std::tie(a.line, a.column) < std::tie(b.line, b.column);
  });
  std::vector<std::string> texts;
  for (Fault& fault : sorted) texts.push_back(std::move(fault.text));
  return texts;
}

void Faults::raise(const std::string& file) const {
  if (faults_.empty()) return;
  const std::vector<std::string> texts = lines();
  if (texts.size() == 1) fail(ErrorKind::kInput, texts.front());
  std::string message = concat(file, ": ", texts.size(), " fault(s)");
  for (size_t i = 0; i < std::min(texts.size(), kShownFaults); ++i) message += "\n  " + texts[i];
  if (texts.size() > kShownFaults) {
    message += concat("\n  and ", texts.size() - kShownFaults, " more");
  }
  fail(ErrorKind::kInput, message);
}

}  // namespace radgpt
