#include "libradgpt/eval/metrics/word_lines.h"

#include <algorithm>
#include <charconv>
#include <system_error>

#include "libradgpt/base/error.h"
#include "libradgpt/base/files.h"
#include "libradgpt/base/text.h"

namespace radgpt {
namespace {

constexpr uint64_t kMaxBytes = uint64_t{64} << 20;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::string_view kSpace = " \t\r\n\v\f";

std::string_view trim(std::string_view line) {
  if (line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
  const size_t begin = line.find_first_not_of(kSpace);
  if (begin == line.npos) return {};
  return line.substr(begin, line.find_last_not_of(kSpace) + 1 - begin);
}

/// True if the whole field is one number of type Value.
template <typename Value>
bool parse(std::string_view field, Value& value) {
  const char* end = field.data() + field.size();
  const auto [parsed, error] = std::from_chars(field.data(), end, value);
  return error == std::errc() && parsed == end;
}

}  // namespace

WordLines::WordLines(const std::string& path) : path_(path), bytes_(read_file(path, kMaxBytes)) {}

bool WordLines::next() {
  std::string_view rest;
  while (rest.empty()) {
    if (line_begin_ >= bytes_.size()) return false;
    const size_t end = std::min(bytes_.find('\n', line_begin_), bytes_.size());
    line_ = std::string_view(bytes_).substr(line_begin_, end - line_begin_);
    line_begin_ = end + 1;
    ++line_number_;
    rest = trim(line_);
  }
  fields_.clear();
  for (size_t space = rest.find(' '); space != rest.npos; space = rest.find(' ')) {
    fields_.push_back(rest.substr(0, space));
    rest.remove_prefix(space + 1);
  }
  fields_.push_back(rest);
  return true;
}

std::u32string WordLines::text(size_t field) const {
  check(!find_invalid_utf8(fields_[field]), "text must be UTF-8");
  return decode_utf8(fields_[field]);
}

int64_t WordLines::count(size_t field) const {
  int64_t value = 0;
  check(parse(fields_[field], value) && value >= 0, "frequency must be an integer >= 0");
  return value;
}

double WordLines::number(size_t field) const {
  double value = 0;
  check(parse(fields_[field], value), "log probability must be a number");
  return value;
}

void WordLines::check(bool holds, std::string_view rule) const {
  require(holds, path_, ':', line_number_, ": ", rule, ", got a line of ", fields_.size(),
          " fields and ", line_.size(), " bytes");
}

}  // namespace radgpt
