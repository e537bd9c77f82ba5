#include "libradgpt/eval/metrics/measurements.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace radgpt {
namespace {

struct Unit {
  std::u32string_view name;
  double millimetres;
};

constexpr Unit kUnits[] = {{U"mm", 1},   {U"MM", 1},    {U"cm", 10}, {U"CM", 10},
                           {U"毫米", 1}, {U"厘米", 10}, {U"㎜", 1},  {U"㎝", 10}};
constexpr size_t kMostDigits = 6;

bool is_digit(char32_t c) { return c >= U'0' && c <= U'9'; }

/// Numbers joined by × and their like; those that still wait for a unit stand in `waiting`.
class MeasurementReader {
 public:
  explicit MeasurementReader(std::u32string_view text) : text_(text) {}

  std::vector<int64_t> read() {
    while (at_ < text_.size()) {
      if (!is_digit(text_[at_])) {
        ++at_;
        continue;
      }
      read_number();
      skip_blanks();
      read_unit();
      skip_blanks();
      if (!skip_joint()) waiting_.clear();
    }
    std::sort(lengths_.begin(), lengths_.end());
    return std::move(lengths_);
  }

 private:
  size_t skip_digits() {
    const size_t begin = at_;
    while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
    return at_ - begin;
  }

  void read_number() {
    const size_t begin = at_;
    const size_t digits = skip_digits();
    if (at_ + 1 < text_.size() && text_[at_] == U'.' && is_digit(text_[at_ + 1])) {
      ++at_;
      skip_digits();
    }
    const std::u32string_view number = text_.substr(begin, at_ - begin);
    if (digits > kMostDigits) return;
    waiting_.push_back(std::stod(std::string(number.begin(), number.end())));
  }

  void read_unit() {
    for (const Unit& unit : kUnits) {
      if (!text_.substr(at_).starts_with(unit.name)) continue;
      at_ += unit.name.size();
      if (text_.substr(at_).starts_with(U'/')) waiting_.clear();
      for (const double number : waiting_) {
        lengths_.push_back(std::llround(number * unit.millimetres * 100));
      }
      waiting_.clear();
      return;
    }
  }

  void skip_blanks() {
    while (at_ < text_.size() && text_[at_] == U' ') ++at_;
  }

  bool skip_joint() {
    constexpr std::u32string_view kJoints = U"×xX*-~";
    if (at_ >= text_.size() || kJoints.find(text_[at_]) == kJoints.npos) return false;
    ++at_;
    skip_blanks();
    return at_ < text_.size() && is_digit(text_[at_]);
  }

  std::u32string_view text_;
  size_t at_ = 0;
  std::vector<double> waiting_;
  std::vector<int64_t> lengths_;
};

}  // namespace

std::vector<int64_t> read_measurements(std::u32string_view text) {
  return MeasurementReader(text).read();
}

}  // namespace radgpt
