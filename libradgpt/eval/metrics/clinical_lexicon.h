#pragma once

#include <cstddef>
#include <string_view>

namespace radgpt {

/// What a term of the lexicon says about the text around it; see read_clinical_facts.
enum class TermRole {
  kFinding,
  kLeft,
  kRight,
  kBothSides,
  kMidline,         ///< an organ without sides
  kNegation,        ///< of what follows it
  kNegationEither,  ///< of the findings before it in the clause, else of what follows
  kNegationBefore,  ///< of the findings before it in the clause
  kDoubt,           ///< about what follows it
  kDoubtEither,
  kDoubtBefore,
  kNeutral,  ///< only keeps the shorter terms inside it from being read
};

struct Term {
  TermRole role = TermRole::kNeutral;
  std::string_view finding;  ///< canonical name; empty unless kFinding
  size_t length = 0;         ///< characters; 0: no term
};

/// The longest term that begins at text[begin]. Full-width forms must be folded to ASCII before.
Term longest_term(std::u32string_view text, size_t begin);

}  // namespace radgpt
