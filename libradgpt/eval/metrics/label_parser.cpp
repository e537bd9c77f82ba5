#include "libradgpt/eval/metrics/label_parser.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "libradgpt/base/error.h"
#include "libradgpt/eval/metrics/code_points.h"

namespace radgpt {
namespace {

constexpr size_t kNegationReach = 6;

bool is_one_of(char32_t c, std::u32string_view set) { return set.find(c) != set.npos; }

std::u32string folded(std::string_view text) {
  std::u32string result = code_points(text);
  for (char32_t& c : result) {
    if (c >= 0xFF01 && c <= 0xFF5E) c -= 0xFF01 - 0x21;
    if (c == 0x3000 || c == 0xA0) c = U' ';
  }
  return result;
}

bool is_margin(char32_t c) {
  constexpr std::u32string_view kPunctuation =
      U".,:;!?\"'`()[]{}<>*#_|/\\=~。、「」『』【】《》“”‘’…—·";
  return is_white_space(c) || is_one_of(c, kPunctuation);
}

std::u32string_view trimmed(std::u32string_view text) {
  while (!text.empty() && is_margin(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_margin(text.back())) text.remove_suffix(1);
  return text;
}

bool is_latin(char32_t c) {
  return (c >= U'0' && c <= U'9') || (c >= U'a' && c <= U'z') || (c >= U'A' && c <= U'Z');
}

/// Neither end of [begin, end) cuts through a run of Latin letters and digits.
bool is_whole_word(std::u32string_view text, size_t begin, size_t end) {
  const auto joined = [&](size_t i) {
    return i > 0 && i < text.size() && is_latin(text[i - 1]) && is_latin(text[i]);
  };
  return !joined(begin) && !joined(end);
}

bool mentions_word(std::u32string_view text, std::u32string_view word) {
  for (size_t at = text.find(word); at != text.npos; at = text.find(word, at + 1)) {
    if (is_whole_word(text, at, at + word.size())) return true;
  }
  return false;
}

bool is_negated(std::u32string_view text, size_t begin, size_t end) {
  constexpr std::array<std::u32string_view, 10> kNegations = {
      U"未", U"无", U"没", U"非", U"不", U"否", U"排除", U"not", U"no", U"without"};
  size_t clause = begin;
  while (clause > 0 && !is_one_of(text[clause - 1], U",;:.!?。、\n")) --clause;
  const std::u32string_view before = text.substr(clause, begin - clause);
  for (const std::u32string_view negation : kNegations) {
    const size_t reach = std::min(before.size(), kNegationReach + negation.size());
    if (mentions_word(before.substr(before.size() - reach), negation)) return true;
  }
  return text.substr(end).starts_with(U"除外");
}

}  // namespace

LabelParser::LabelParser(const std::vector<LabelForms>& labels) {
  for (size_t i = 0; i < labels.size(); ++i) {
    std::vector<std::string> names = labels[i].synonyms;
    names.push_back(labels[i].name);
    for (const std::string& name : names) {
      const std::u32string text = folded(name);
      const std::u32string form(trimmed(text));
      const int other = find_exact(form);
      const int label = static_cast<int>(i);
      require(!form.empty(), "label parser: forms of label ", i, " must not be empty");
      require(other == kInvalidAnswer || other == label, "label parser: labels ", other, " and ",
              label, " must have different forms, got the same one");
      forms_.push_back({form, label});
    }
  }
  std::stable_sort(forms_.begin(), forms_.end(),
                   [](const Form& a, const Form& b) { return a.text.size() > b.text.size(); });
}

int LabelParser::find_exact(std::u32string_view text) const {
  const auto found = std::find_if(forms_.begin(), forms_.end(),
                                  [text](const Form& form) { return form.text == text; });
  return found == forms_.end() ? kInvalidAnswer : found->label;
}

const LabelParser::Form* LabelParser::longest_at(std::u32string_view text, size_t begin) const {
  const auto found = std::find_if(forms_.begin(), forms_.end(), [&](const Form& form) {
    return text.substr(begin).starts_with(form.text) &&
           is_whole_word(text, begin, begin + form.text.size());
  });
  return found == forms_.end() ? nullptr : &*found;
}

ParsedLabel LabelParser::scan(std::u32string_view text) const {
  ParsedLabel result;
  for (size_t begin = 0; begin < text.size();) {
    const Form* form = longest_at(text, begin);
    const size_t end = begin + (form ? form->text.size() : 1);
    if (form && form->label != result.label && !is_negated(text, begin, end)) {
      if (result.rule == LabelRule::kScan) return {kInvalidAnswer, LabelRule::kAmbiguous};
      result = {form->label, LabelRule::kScan};
    }
    begin = end;
  }
  return result;
}

ParsedLabel LabelParser::parse(std::string_view answer) const {
  const std::u32string text = folded(answer);
  const std::u32string_view whole = trimmed(text);
  if (const int label = find_exact(whole); label != kInvalidAnswer) {
    return {label, LabelRule::kExact};
  }
  const std::u32string_view line = whole.substr(0, whole.find(U'\n'));
  if (const size_t colon = line.rfind(U':'); colon != line.npos) {
    const int label = find_exact(trimmed(line.substr(colon + 1)));
    if (label != kInvalidAnswer) return {label, LabelRule::kAfterColon};
  }
  return scan(whole);
}

}  // namespace radgpt
