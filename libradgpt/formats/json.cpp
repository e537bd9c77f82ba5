#include "libradgpt/formats/json.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "libradgpt/base/error.h"
#include "libradgpt/base/files.h"
#include "libradgpt/base/text.h"

namespace radgpt {
namespace {

using nlohmann::json;

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

/// Walks over the text and tells how far it came, which nlohmann's callbacks do not.
class TrackedIterator {
 public:
  using iterator_category = std::forward_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  TrackedIterator(const char* at, size_t* reached) : at_(at), reached_(reached) {}
  reference operator*() const { return *at_; }
  TrackedIterator& operator++() {
    ++at_;
    ++*reached_;
    return *this;
  }
  bool operator==(const TrackedIterator& other) const { return at_ == other.at_; }

 private:
  const char* at_;
  size_t* reached_;
};

/// Throws for a fault at byte `offset`.
[[noreturn]] void refuse_text(std::string_view text, size_t offset, const JsonOrigin& origin,
                              const std::string& problem) {
  const std::string_view before = text.substr(0, offset);
  const size_t line_begin = before.rfind('\n') + 1;  // npos + 1 is 0
  const auto starts_character = [](char byte) { return (byte & 0xC0) != 0x80; };
  const auto line = origin.first_line + std::count(before.begin(), before.end(), '\n');
  const auto column = 1 + std::count_if(before.begin() + static_cast<std::ptrdiff_t>(line_begin),
                                        before.end(), starts_character);
  fail(ErrorKind::kInput, origin.file, ":", line, ":", column, ": ", problem);
}

/// The part of nlohmann's message that says what is wrong: what follows "; last read" is a quote
/// of the text, which must not leave.
std::string reason_of(const nlohmann::detail::exception& error) {
  constexpr int kNumberOverflow = 406;
  if (error.id == kNumberOverflow) return "a number beyond the range of double";
  const std::string_view message = error.what();
  const size_t begin = message.find(" - ");
  if (begin == std::string_view::npos) return "something else";
  std::string_view reason = message.substr(begin + 3);
  reason = reason.substr(0, reason.find("; last read"));
  constexpr std::string_view kUnexpected = "unexpected ";
  if (reason.starts_with(kUnexpected)) reason.remove_prefix(kUnexpected.size());
  return std::string(reason);
}

/// Builds the value from nlohmann's events, of which none recurses.
class Builder : public nlohmann::json_sax<json> {
 public:
  Builder(std::string_view text, const JsonOrigin& origin, JsonLimits limits)
      : text_(text), origin_(origin), limits_(limits) {}

  json parse() {
    const TrackedIterator begin(text_.data(), &reached_);
    const TrackedIterator end(text_.data() + text_.size(), &reached_);
    json::sax_parse(begin, end, this);
    return std::move(root_);
  }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(int64_t value) override { return add(value); }
  bool number_unsigned(uint64_t value) override { return add(value); }
  bool number_float(double value, const std::string&) override { return add(value); }
  bool string(std::string& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return open(json::object()); }
  bool start_array(size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(std::string& name) override {
    const auto [member, is_new] = open_.back()->emplace(name, nullptr);
    if (!is_new) refuse_text(text_, start_of_string(), origin_, "must not repeat a key");
    member_ = &*member;
    return true;
  }

  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    const size_t offset = std::min(position == 0 ? 0 : position - 1, text_.size());
    refuse_text(text_, offset, origin_, "must be valid JSON, got " + reason_of(error));
  }

 private:
  json& place(json value) {
    if (++values_ > limits_.values) {
      refuse_text(text_, reached_ - 1, origin_,
                  concat("must have at most ", limits_.values, " JSON values"));
    }
    if (open_.empty()) return root_ = std::move(value);
    if (open_.back()->is_object()) return *member_ = std::move(value);
    open_.back()->push_back(std::move(value));
    return open_.back()->back();
  }

  bool add(json value) {
    place(std::move(value));
    return true;
  }

  bool open(json container) {
    if (open_.size() >= static_cast<size_t>(limits_.depth)) {
      refuse_text(text_, reached_ - 1, origin_,
                  concat("must be nested at most ", limits_.depth, " levels deep"));
    }
    open_.push_back(&place(std::move(container)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  /// Where the string that was just read starts: at the nearest quote that is not escaped.
  size_t start_of_string() const {
    size_t quote = text_.rfind('"', reached_ - 2);
    while (is_escaped(quote)) quote = text_.rfind('"', quote - 1);
    return quote;
  }
  bool is_escaped(size_t at) const {
    size_t backslashes = 0;
    while (backslashes < at && text_[at - 1 - backslashes] == '\\') ++backslashes;
    return backslashes % 2 == 1;
  }

  std::string_view text_;
  const JsonOrigin& origin_;
  JsonLimits limits_;
  size_t reached_ = 0;  ///< bytes read
  size_t values_ = 0;
  json root_;
  std::vector<json*> open_;  ///< containers not yet closed, outermost first
  json* member_ = nullptr;   ///< of the innermost object: the member whose value comes next
};

}  // namespace

json parse_json(std::string_view text, const JsonOrigin& origin, JsonLimits limits) {
  if (text.starts_with(kByteOrderMark)) {
    refuse_text(text, 0, origin, "must not start with a byte-order mark");
  }
  // nlohmann's lexer takes a NUL byte for the end of the text and would ignore what follows.
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos) {
    refuse_text(text, nul, origin, "must not contain a NUL byte");
  }
  if (const auto fault = find_invalid_utf8(text)) {
    refuse_text(text, *fault, origin, "must be valid UTF-8, got an invalid byte");
  }
  return Builder(text, origin, limits).parse();
}

json read_json_file(const std::string& path, uint64_t size_limit, JsonLimits limits) {
  return parse_json(read_file(path, size_limit), {path}, limits);
}

}  // namespace radgpt
