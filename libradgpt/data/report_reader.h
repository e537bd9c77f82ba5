#pragma once

#include <optional>
#include <string>
#include <vector>

#include "libradgpt/data/report.h"
#include "libradgpt/data/split.h"

namespace radgpt {

/// A JSONL file of reports and what its fields are called.
///
/// `centre` and `modality` are for lines that lack the fields `centre_field` and `modality_field`;
/// a line must have one or the other. An empty `patient_field` says that each report is a patient
/// of its own (recipe: `group_by: none`).
struct ReportSource {
  std::string path;
  std::string id_field = "id";
  std::string patient_field = "patient";
  std::string centre = {};
  std::string centre_field = "centre";
  std::string modality = {};
  std::string modality_field = "modality";
  std::optional<Split> split = {};  ///< all reports of the file; without it, by patient
  int max_bad_lines = 0;
};

/// The reports of a file in its order, and the lines that were left out.
struct ReportFile {
  std::vector<Report> reports;
  std::vector<std::string> bad_lines;  ///< "FILE:LINE: KEY: rule, got …", without report text
};

/// Reads reports. Every string field beside id, patient, centre and modality becomes a text (null
/// means absent), every scalar entry of the object `labels` a label; other fields are passed over.
/// A line is bad if it is not strict JSON, lacks id, patient, centre or modality, repeats an id, or
/// has a text of nothing but white space, or findings or impression that are neither text nor null.
/// Throws Error(kInput) with the first bad line if there are more than `max_bad_lines`, or if the
/// file holds no report.
ReportFile read_reports(const ReportSource& source);

}  // namespace radgpt
