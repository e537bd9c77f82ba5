#include "libradgpt/formats/jsonl.h"

#include <algorithm>
#include <utility>

#include "libradgpt/base/error.h"
#include "libradgpt/base/text.h"
#include "libradgpt/formats/json.h"
#include "libradgpt/formats/json_description.h"

namespace radgpt {
namespace {

constexpr size_t kLongestLine = 16'000'000;
constexpr size_t kReadSize = size_t{1} << 20;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r") == std::string_view::npos;
}

/// Chinese text saved by an older Windows program: all bytes above 127 form GBK pairs, and hardly
/// any of them form UTF-8.
bool looks_like_gbk(std::string_view text) {
  int64_t pairs = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto lead = static_cast<uint8_t>(text[i]);
    if (lead < 0x80) continue;
    const auto trail = static_cast<uint8_t>(i + 1 < text.size() ? text[i + 1] : 0);
    if (lead < 0x81 || lead > 0xFE || trail < 0x40 || trail == 0x7F || trail > 0xFE) return false;
    ++pairs;
    ++i;
  }
  int64_t invalid = 0;
  int64_t valid = 0;
  while (const auto fault = find_invalid_utf8(text)) {
    const auto is_lead = [](char byte) { return static_cast<uint8_t>(byte) >= 0xC0; };
    valid += std::count_if(text.begin(), text.begin() + static_cast<ptrdiff_t>(*fault), is_lead);
    ++invalid;
    text.remove_prefix(*fault + 1);
  }
  return pairs >= 2 && invalid > valid;
}

}  // namespace

JsonlReader::JsonlReader(const std::string& path, int64_t max_bad_lines)
    : file_(open_regular_file(path)), max_bad_lines_(max_bad_lines) {
  fill();
  check_first_bytes();
  if (buffer_.starts_with(kByteOrderMark)) position_ = kByteOrderMark.size();
}

bool JsonlReader::next(JsonLine& line) {
  std::string_view text;
  LineEnd end = LineEnd::kNewline;
  while (next_line(text, end)) {
    ++line_;
    if (is_blank(text)) {
      if (first_blank_line_ == 0) first_blank_line_ = line_;
      continue;
    }
    if (good_lines_ == 0 && bad_lines_.empty()) check_first_line(text);
    if (const int64_t blank = std::exchange(first_blank_line_, 0); blank != 0) {
      add_bad_line(
          blank, concat(file_.path, ":", blank, ": must not be blank before the end of the file"));
    }
    try {
      line.value = parse_line(text, end);
    } catch (const Error& error) {
      add_bad_line(line_, error.what());
      continue;
    }
    line.number = line_;
    ++good_lines_;
    return true;
  }
  require(good_lines_ > 0, file_.path, ": must hold at least one JSON object, got ", line_,
          " lines without any");
  return false;
}

void JsonlReader::reject(const std::string& reason) {
  --good_lines_;
  add_bad_line(line_, reason);
}

void JsonlReader::add_bad_line(int64_t number, const std::string& reason) {
  bad_lines_.push_back({number, reason});
  const auto count = static_cast<int64_t>(bad_lines_.size());
  if (count <= max_bad_lines_) return;
  if (max_bad_lines_ == 0) fail(ErrorKind::kInput, reason);
  fail(ErrorKind::kInput, reason, " (bad line number ", count, ", at most ", max_bad_lines_,
       " are allowed)");
}

std::string JsonlReader::place() const { return concat(file_.path, ":", line_); }

/// Reads on; false at the end of the file.
bool JsonlReader::fill() {
  buffer_.erase(0, position_);
  position_ = 0;
  const size_t kept = buffer_.size();
  buffer_.resize(kept + kReadSize);
  const size_t count = read_some(file_, {buffer_.data() + kept, kReadSize});
  buffer_.resize(kept + count);
  return count > 0;
}

/// The next line without its LF or CRLF, valid until the next call; of a line that is too long, its
/// beginning.
bool JsonlReader::next_line(std::string_view& text, LineEnd& end) {
  size_t searched = 0;  // bytes after position_ without a newline
  while (true) {
    const size_t newline = buffer_.find('\n', position_ + searched);
    const bool is_whole = newline != std::string::npos;
    if (is_whole && std::exchange(within_long_line_, false)) {
      position_ = newline + 1;
      searched = 0;
      continue;
    }
    if (within_long_line_) position_ = buffer_.size();
    searched = (is_whole ? newline : buffer_.size()) - position_;
    if (is_whole || searched > kLongestLine) {
      text = std::string_view(buffer_).substr(position_, searched);
      end = searched > kLongestLine ? LineEnd::kTooLong : LineEnd::kNewline;
      within_long_line_ = !is_whole;
      position_ += searched + (is_whole ? 1 : 0);
      break;
    }
    if (fill()) continue;
    if (position_ == buffer_.size()) return false;
    text = std::string_view(buffer_).substr(position_);
    end = LineEnd::kEndOfFile;
    position_ = buffer_.size();
    break;
  }
  if (text.ends_with('\r')) text.remove_suffix(1);
  return true;
}

void JsonlReader::check_first_bytes() const {
  const std::string_view bytes = buffer_;
  require(!bytes.empty(), file_.path, ": must hold at least one JSON object, got an empty file");
  const auto refuse_if = [&](bool condition, const char* what) {
    require(!condition, file_.path, ": must be text of one JSON object per line, got ", what);
  };
  refuse_if(bytes.starts_with("\x1F\x8B"), "a gzip file; unpack it first");
  refuse_if(bytes.starts_with("PK\x03\x04"), "a zip or office file");
  const bool has_utf16_mark = bytes.starts_with("\xFF\xFE") || bytes.starts_with("\xFE\xFF");
  const bool has_utf16_zeros = bytes.size() > 1 && (bytes[0] == 0) != (bytes[1] == 0);
  refuse_if(has_utf16_mark || has_utf16_zeros, "UTF-16; convert it to UTF-8");
}

void JsonlReader::check_first_line(std::string_view text) const {
  require(text.find('\r') == std::string_view::npos, place(),
          ": lines must end in LF or CRLF, got CR alone");
  if (text[text.find_first_not_of(" \t")] != '[') return;
  nlohmann::json value;
  try {
    value = parse_json(text, {file_.path, line_});
  } catch (const Error&) {
    // An array that goes on over the next lines: the same fault.
  }
  const bool is_whole_file = !value.is_array() || (!value.empty() && value[0].is_object());
  require(!is_whole_file, file_.path,
          ": must be one JSON object per line, got a JSON array of the whole file");
}

nlohmann::json JsonlReader::parse_line(std::string_view text, LineEnd end) const {
  require(end != LineEnd::kTooLong, place(), ": must have at most ", kLongestLine,
          " bytes in a line");
  require(!find_invalid_utf8(text) || !looks_like_gbk(text), place(),
          ": must be UTF-8, got what looks like GBK; convert the file to UTF-8");
  require(text.find('\r') == std::string_view::npos, place(), ": must not hold a CR inside");
  nlohmann::json value;
  try {
    value = parse_json(text, {file_.path, line_});
  } catch (const Error&) {
    require(end != LineEnd::kEndOfFile, place(),
            ": the file is truncated: its last line must be whole JSON, got ", text.size(),
            " bytes without a line end");
    throw;
  }
  require(value.is_object(), place(), ": must be a JSON object, got ", describe_json(value));
  return value;
}

}  // namespace radgpt
