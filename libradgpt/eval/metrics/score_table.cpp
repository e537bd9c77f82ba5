#include "libradgpt/eval/metrics/score_table.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iomanip>
#include <sstream>
#include <utility>

#include "libradgpt/base/error.h"
#include "libradgpt/eval/metrics/code_points.h"

namespace radgpt {
namespace {

bool is_wide(char32_t c) {
  // East Asian wide and full-width characters (Unicode Standard Annex 11), the ranges in use.
  constexpr std::array<std::pair<char32_t, char32_t>, 10> kWide = {{{0x1100, 0x115F},
                                                                    {0x2E80, 0x303E},
                                                                    {0x3041, 0xA4CF},
                                                                    {0xAC00, 0xD7A3},
                                                                    {0xF900, 0xFAFF},
                                                                    {0xFE30, 0xFE6F},
                                                                    {0xFF00, 0xFF60},
                                                                    {0xFFE0, 0xFFE6},
                                                                    {0x1F300, 0x1F9FF},
                                                                    {0x20000, 0x3FFFD}}};
  return std::any_of(kWide.begin(), kWide.end(),
                     [c](const auto& range) { return range.first <= c && c <= range.second; });
}

size_t display_width(const std::string& text) {
  size_t width = 0;
  for (const char32_t c : code_points(text)) width += is_wide(c) ? 2 : 1;
  return width;
}

std::string printable(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return (c >= 0 && c < ' ') || c == 0x7F; }, ' ');
  return text;
}

std::string markdown_escaped(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '|' || c == '\\' || c == '*' || c == '`' || c == '<') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

/// The best value of the row; nothing if there are fewer than two.
std::optional<double> best_of(const ScoreRow& row) {
  std::vector<double> values;
  for (const ScoreCell& cell : row.cells) {
    if (cell.value && std::isfinite(*cell.value)) values.push_back(*cell.value);
  }
  if (values.size() < 2) return std::nullopt;
  const auto [lowest, highest] = std::minmax_element(values.begin(), values.end());
  return row.better == Better::kHigher ? *highest : *lowest;
}

/// Texts as shown, row by row (the headers first), all rows equally long.
using Grid = std::vector<std::vector<std::string>>;

template <typename Show>
Grid grid_of(const ScoreTable& table, const Show& show) {
  Grid grid(1);
  for (const std::string& header : table.headers) {
    grid[0].push_back(show(printable(header), false));
  }
  for (const ScoreRow& row : table.rows) {
    require(row.cells.size() <= table.headers.size(), "score table: rows must have at most ",
            table.headers.size(), " cells, got ", row.cells.size());
    const std::optional<double> best = best_of(row);
    std::vector<std::string>& line = grid.emplace_back();
    for (const ScoreCell& cell : row.cells) {
      line.push_back(show(printable(cell.text), best && cell.value == best));
    }
    line.resize(table.headers.size());
  }
  return grid;
}

std::vector<bool> value_columns(const ScoreTable& table) {
  std::vector<bool> columns(table.headers.size(), false);
  for (const ScoreRow& row : table.rows) {
    for (size_t i = 0; i < std::min(columns.size(), row.cells.size()); ++i) {
      if (row.cells[i].value) columns[i] = true;
    }
  }
  return columns;
}

void append_right_trimmed(std::string line, std::string& text) {
  line.erase(line.find_last_not_of(' ') + 1);
  text += line + '\n';
}

}  // namespace

std::string ScoreTable::as_text() const {
  const std::vector<bool> right = value_columns(*this);
  // The star has a place of its own in value columns, so that digits stand below each other.
  Grid grid =
      grid_of(*this, [](const std::string& text, bool best) { return text + (best ? "*" : ""); });
  std::vector<size_t> widths(headers.size(), 0);
  for (std::vector<std::string>& line : grid) {
    for (size_t i = 0; i < widths.size(); ++i) {
      if (right[i] && !line[i].ends_with('*')) line[i] += ' ';
      widths[i] = std::max(widths[i], display_width(line[i]));
    }
  }
  std::string text;
  for (const std::vector<std::string>& line : grid) {
    std::string shown;
    for (size_t i = 0; i < widths.size(); ++i) {
      const std::string padding(widths[i] - display_width(line[i]), ' ');
      shown += (i > 0 ? "  " : "") + (right[i] ? padding + line[i] : line[i] + padding);
    }
    append_right_trimmed(shown, text);
    if (&line != &grid.front()) continue;
    std::string rule;
    for (size_t i = 0; i < widths.size(); ++i) {
      rule += (i > 0 ? "  " : "") + std::string(widths[i], '-');
    }
    append_right_trimmed(rule, text);
  }
  return text;
}

std::string ScoreTable::as_markdown() const {
  const std::vector<bool> right = value_columns(*this);
  const Grid grid = grid_of(*this, [](const std::string& text, bool best) {
    const std::string escaped = markdown_escaped(text);
    return best ? "**" + escaped + "**" : escaped;
  });
  std::string text;
  for (const std::vector<std::string>& line : grid) {
    for (const std::string& cell : line) text += "| " + cell + ' ';
    text += "|\n";
    if (&line != &grid.front()) continue;
    for (const bool to_right : right) text += to_right ? "|---:" : "|:---";
    text += "|\n";
  }
  return text;
}

ScoreCell score_cell(double value, int decimals) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(decimals) << value;
  return {text.str(), value};
}

ScoreCell score_cell(double value, double low, double high, int decimals) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(decimals) << value << " [" << low << ", " << high << ']';
  return {text.str(), value};
}

}  // namespace radgpt
