#pragma once

#include <optional>
#include <string>
#include <vector>

namespace radgpt {

/// One cell: the text shown, and for scores the value that is compared within the row.
struct ScoreCell {
  std::string text;
  std::optional<double> value;
};

/// Which value of a row is the best one.
enum class Better { kHigher, kLower };

/// Label columns first (task, centre, …), then score columns (systems). The cells that a short
/// row lacks are empty.
struct ScoreRow {
  std::vector<ScoreCell> cells;
  Better better = Better::kHigher;
};

/// A table of scores for people: rows task × centre, columns systems.
///
/// The best of at least two values of a row is marked, all of them if several are equal: in bold in
/// Markdown, with a star on a terminal. Columns that hold a value anywhere are aligned to the
/// right, with Chinese characters two columns wide. Control characters in texts become spaces. A
/// value that is not finite is never the best. Both throw Error(kInput) for a row of more cells
/// than there are headers.
struct ScoreTable {
  std::vector<std::string> headers;
  std::vector<ScoreRow> rows;

  /// Plain lines with aligned columns and a rule under the headers; each ends with a line feed.
  std::string as_text() const;
  /// A GitHub-flavoured Markdown table.
  std::string as_markdown() const;
};

/// A score cell with that many decimals, "0.912".
ScoreCell score_cell(double value, int decimals);
/// The same with its range, "0.912 [0.884, 0.935]".
ScoreCell score_cell(double value, double low, double high, int decimals);

}  // namespace radgpt
