#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "libradgpt/eval/metrics/classification_metrics.h"

namespace radgpt {

/// A label of a closed list and other words that mean it.
struct LabelForms {
  std::string name;
  std::vector<std::string> synonyms;
};

/// Which rule of the parser decided.
enum class LabelRule {
  kExact,       ///< the answer is a label and nothing else
  kAfterColon,  ///< what follows the last colon of the first line is
  kScan,        ///< the answer mentions one label
  kAmbiguous,   ///< it mentions several: invalid
  kNone,        ///< it mentions none, or only negated ones: invalid
};

/// What a free answer says.
struct ParsedLabel {
  int label = kInvalidAnswer;  ///< index in the list of labels
  LabelRule rule = LabelRule::kNone;
};

/// Reads a label out of free text, for models that are asked without scoring of the closed list.
///
/// Text is compared after folding full-width forms and the ideographic space to ASCII (the part of
/// NFKC that reports make use of) and trimming white space and punctuation; synonyms count as their
/// label. The first rule that applies decides, in the order of LabelRule. The scan takes the
/// longest form at each place and
///   - never looks inside a form it has taken (未见异常 does not mention 异常 if it is a form);
///   - skips a form in Latin letters or digits that is part of a longer word;
///   - skips a form that a negation precedes in the same clause by at most 6 characters (非阳性,
///     未见明显异常, "not positive"), or 除外 right after it.
class LabelParser {
 public:
  /// Throws Error(kInput) if a form is empty or stands for two labels.
  explicit LabelParser(const std::vector<LabelForms>& labels);

  /// The label that `answer` names. Bytes that are not UTF-8 are no error.
  ParsedLabel parse(std::string_view answer) const;

 private:
  struct Form {
    std::u32string text;
    int label;
  };

  /// The label that is exactly this text; kInvalidAnswer if none is.
  int find_exact(std::u32string_view text) const;
  /// The longest form that stands at `begin`; null if none does.
  const Form* longest_at(std::u32string_view text, size_t begin) const;
  ParsedLabel scan(std::u32string_view text) const;

  std::vector<Form> forms_;  ///< longest first
};

}  // namespace radgpt
