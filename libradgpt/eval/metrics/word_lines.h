#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace radgpt {

/// Reads the word lists of the segmenter: UTF-8 lines of fields with single spaces between them.
/// Blank lines, white space at both ends of a line and a byte order mark are skipped.
///
/// Every complaint is an Error(kInput) `FILE:LINE: rule, got …` that does not quote the line.
class WordLines {
 public:
  /// Throws Error(kInput) if `path` is no readable file of at most 64 MiB.
  explicit WordLines(const std::string& path);
  WordLines(const WordLines&) = delete;
  WordLines& operator=(const WordLines&) = delete;

  /// Goes to the next line; false at the end of the file.
  bool next();
  /// The fields of this line.
  const std::vector<std::string_view>& fields() const { return fields_; }

  std::u32string text(size_t field) const;
  int64_t count(size_t field) const;  ///< >= 0
  double number(size_t field) const;

  /// Throws unless `holds`; `rule` says what a line must look like.
  void check(bool holds, std::string_view rule) const;

 private:
  std::string path_;
  std::string bytes_;
  size_t line_begin_ = 0;  ///< of the line after this one
  int line_number_ = 0;
  std::string_view line_;
  std::vector<std::string_view> fields_;
};

}  // namespace radgpt
