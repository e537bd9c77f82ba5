#include "libradgpt/data/report_reader.h"

#include <set>

#include "libradgpt/base/error.h"
#include "libradgpt/data/duplicates.h"
#include "libradgpt/formats/json.h"
#include "libradgpt/formats/jsonl.h"

namespace radgpt {
namespace {

using nlohmann::json;

const std::string kText = "text that is not blank";

bool is_blank(const std::string& text) { return normalise_for_comparison(text).empty(); }

/// The text at `key`, which must be there.
std::string required_text(const JsonObject& line, const json& value, const std::string& key,
                          const std::string& rule) {
  const auto found = value.find(key);
  if (found == value.end() || !found->is_string() || is_blank(*found)) line.refuse(key, rule);
  return *found;
}

/// The text at `key`, or what the source says about lines without it.
std::string text_or_default(const JsonObject& line, const json& value, const std::string& key,
                            const std::string& otherwise) {
  const auto found = value.find(key);
  const bool is_absent = found == value.end() || found->is_null();
  return is_absent && !otherwise.empty() ? otherwise : required_text(line, value, key, kText);
}

/// A scalar as the text by which a task's list of labels names it; nothing for a list or object.
std::optional<std::string> label_text(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number() || value.is_boolean()) return value.dump();
  return std::nullopt;
}

void read_labels(const JsonObject& line, const json& value, Report& report) {
  const auto labels = value.find("labels");
  if (labels == value.end() || labels->is_null()) return;
  if (!labels->is_object()) line.refuse("labels", "an object or null");
  for (const auto& [name, label] : labels->items()) {
    if (auto text = label_text(label)) report.labels.emplace(name, std::move(*text));
  }
}

void read_texts(const JsonObject& line, const json& value, const ReportSource& source,
                Report& report) {
  const std::set<std::string> known = {source.id_field, source.patient_field, source.centre_field,
                                       source.modality_field};
  for (const auto& [name, text] : value.items()) {
    if (text.is_null() || known.count(name) > 0) continue;
    const bool is_report_text = name == "findings" || name == "impression";
    if (!text.is_string() && !is_report_text) continue;
    if (!text.is_string() || is_blank(text)) line.refuse(name, kText + ", or null");
    report.texts.emplace(name, text);
  }
}

Report read_report(const JsonLine& line, const ReportSource& source) {
  const json& value = line.value;
  const JsonObject object(value, concat(source.path, ":", line.number));
  Report report;
  report.source = {source.path, static_cast<int>(line.number)};
  report.id = required_text(object, value, source.id_field, kText);
  report.patient = source.patient_field.empty()
                       ? report.id
                       : required_text(object, value, source.patient_field,
                                       kText + " (or data.group_by must be none)");
  report.centre = text_or_default(object, value, source.centre_field, source.centre);
  report.modality = text_or_default(object, value, source.modality_field, source.modality);
  read_texts(object, value, source, report);
  read_labels(object, value, report);
  return report;
}

}  // namespace

ReportFile read_reports(const ReportSource& source) {
  ReportFile file;
  JsonlReader reader(source.path, source.max_bad_lines);
  std::map<std::string, int64_t> lines_of_ids;
  for (JsonLine line; reader.next(line);) {
    try {
      Report report = read_report(line, source);
      const auto [first, is_new] = lines_of_ids.try_emplace(report.id, line.number);
      require(is_new, source.path, ":", line.number, ": ", source.id_field,
              ": must be unique in the file, got that of line ", first->second);
      file.reports.push_back(std::move(report));
    } catch (const Error& error) {
      reader.reject(error.what());
    }
  }
  for (const BadLine& line : reader.bad_lines()) file.bad_lines.push_back(line.reason);
  return file;
}

}  // namespace radgpt
