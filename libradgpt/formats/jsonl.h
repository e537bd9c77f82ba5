#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "libradgpt/base/files.h"

namespace radgpt {

struct JsonLine {
  int64_t number = 0;    ///< of the line in the file, from 1
  nlohmann::json value;  ///< always an object
};

struct BadLine {
  int64_t number = 0;
  std::string reason;  ///< "FILE:LINE[:COLUMN]: rule, got …", without report text
};

/// Reads a file of one JSON object per line, in bounded memory. Lines end in LF or CRLF; a UTF-8
/// byte-order mark may open the file; blank lines may stand at its end only; a line has at most
/// 16 MB and must be JSON as parse_json wants it.
///
/// A line that breaks these rules is a bad line. Up to `max_bad_lines` of them are skipped and
/// kept with their reason; one more is an Error(kInput). What concerns the file as a whole is
/// always an Error: an empty file, UTF-16, gzip, a JSON array instead of lines, CR line ends.
class JsonlReader {
 public:
  explicit JsonlReader(const std::string& path, int64_t max_bad_lines = 0);

  /// The next good line; false at the end of the file.
  bool next(JsonLine& line);

  /// Counts the line that `next` gave last as bad, for a rule of the caller's own. `reason` is a
  /// whole message that names file and line. Throws it as Error(kInput) when the limit is passed.
  void reject(const std::string& reason);

  const std::string& path() const { return file_.path; }
  const std::vector<BadLine>& bad_lines() const { return bad_lines_; }

 private:
  enum class LineEnd { kNewline, kEndOfFile, kTooLong };

  bool fill();
  bool next_line(std::string_view& text, LineEnd& end);
  void check_first_bytes() const;
  void check_first_line(std::string_view text) const;
  nlohmann::json parse_line(std::string_view text, LineEnd end) const;
  void add_bad_line(int64_t number, const std::string& reason);
  std::string place() const;

  InputFile file_;
  int64_t max_bad_lines_;
  std::vector<BadLine> bad_lines_;
  std::string buffer_;  ///< bytes read; those from position_ on are not yet given out
  size_t position_ = 0;
  int64_t line_ = 0;
  int64_t first_blank_line_ = 0;  ///< of the blank lines just before; 0 is none
  int64_t good_lines_ = 0;
  bool within_long_line_ = false;
};

}  // namespace radgpt
