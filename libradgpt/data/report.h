#pragma once

#include <map>
#include <string>

namespace radgpt {

/// Where a record came from; error messages and counts name it instead of quoting text.
struct SourceLine {
  std::string file;
  int line = 0;
};

/// One clinical report. All text is UTF-8.
struct Report {
  std::string id;
  std::string
      patient;  ///< the unit of the split; equal to `id` where the recipe says group_by: none
  std::string centre;    ///< hospital; evaluation reports scores by centre
  std::string modality;  ///< CT, MR, US, …
  /// findings, impression, and whatever other text field the file has (brief, text, …).
  std::map<std::string, std::string> texts;
  /// Scalar labels as text ("yes", "1", "lung"); lists in the file are left out.
  std::map<std::string, std::string> labels;
  SourceLine source;
};

}  // namespace radgpt
