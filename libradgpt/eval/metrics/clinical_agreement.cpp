#include "libradgpt/eval/metrics/clinical_agreement.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <string>

#include "libradgpt/eval/metrics/clinical_lexicon.h"
#include "libradgpt/eval/metrics/code_points.h"
#include "libradgpt/eval/metrics/measurements.h"

namespace radgpt {
namespace {

constexpr std::u32string_view kSentenceEnds = U"。;!?\n";
constexpr char32_t kComma = U',';

std::u32string folded(std::string_view text) {
  std::u32string result = code_points(text);
  for (char32_t& c : result) {
    if (c >= 0xFF01 && c <= 0xFF5E) c -= 0xFF01 - 0x21;
  }
  return result;
}

/// Reads one text from left to right, clause by clause.
class FactReader {
 public:
  void read(std::u32string_view text) {
    for (size_t i = 0; i < text.size();) {
      const Term term = longest_term(text, i);
      if (term.length > 0) read_term(term);
      if (term.length == 0 && text[i] == kComma) end_clause();
      if (kSentenceEnds.find(text[i]) != kSentenceEnds.npos) {
        end_clause();
        side_ = Laterality::kNone;
      }
      i += std::max<size_t>(1, term.length);
    }
    end_clause();
  }

  std::vector<ClinicalFact> take() { return std::move(facts_); }

 private:
  void read_term(const Term& term) {
    switch (term.role) {
      case TermRole::kFinding:
        clause_.push_back({term.finding, side_, FindingStatus::kPresent});
        if (doubted_) clause_.back().status = FindingStatus::kUncertain;
        if (negated_) clause_.back().status = FindingStatus::kAbsent;
        break;
      case TermRole::kLeft:
        side_ = Laterality::kLeft;
        break;
      case TermRole::kRight:
        side_ = Laterality::kRight;
        break;
      case TermRole::kBothSides:
        side_ = Laterality::kBoth;
        break;
      case TermRole::kMidline:
        side_ = Laterality::kNone;
        break;
      case TermRole::kNeutral:
        break;
      default:
        read_cue(term.role);
    }
  }

  void read_cue(TermRole role) {
    const bool either = role == TermRole::kNegationEither || role == TermRole::kDoubtEither;
    const bool backward = role == TermRole::kNegationBefore || role == TermRole::kDoubtBefore ||
                          (either && !clause_.empty());
    const bool negates = role == TermRole::kNegation || role == TermRole::kNegationEither ||
                         role == TermRole::kNegationBefore;
    if (!backward) {
      (negates ? negated_ : doubted_) = true;
      return;
    }
    const FindingStatus status = negates ? FindingStatus::kAbsent : FindingStatus::kUncertain;
    for (ClinicalFact& fact : clause_) {
      if (fact.status != FindingStatus::kAbsent) fact.status = status;
    }
  }

  void end_clause() {
    for (const ClinicalFact& fact : clause_) {
      if (std::find(facts_.begin(), facts_.end(), fact) == facts_.end()) facts_.push_back(fact);
    }
    clause_.clear();
    negated_ = doubted_ = false;
  }

  std::vector<ClinicalFact> facts_;
  std::vector<ClinicalFact> clause_;
  Laterality side_ = Laterality::kNone;
  bool negated_ = false;
  bool doubted_ = false;
};

template <typename Value>
using ByFinding = std::map<std::string_view, std::set<Value>>;

ByFinding<Laterality> sides_of(const std::vector<ClinicalFact>& facts) {
  ByFinding<Laterality> sides;
  for (const ClinicalFact& fact : facts) {
    if (fact.laterality == Laterality::kNone || fact.status == FindingStatus::kAbsent) continue;
    sides[fact.finding].insert(fact.laterality);
  }
  return sides;
}

ByFinding<FindingStatus> states_of(const std::vector<ClinicalFact>& facts) {
  ByFinding<FindingStatus> states;
  for (const ClinicalFact& fact : facts) states[fact.finding].insert(fact.status);
  return states;
}

template <typename Sorted>
int64_t count_common(const Sorted& a, const Sorted& b) {
  std::vector<typename Sorted::value_type> common;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(common));
  return static_cast<int64_t>(common.size());
}

template <typename Value>
void compare(const ByFinding<Value>& generated, const ByFinding<Value>& reference,
             int64_t& compared, int64_t& errors) {
  for (const auto& [finding, values] : generated) {
    const auto other = reference.find(finding);
    if (other == reference.end()) continue;
    const auto both = static_cast<int64_t>(std::min(values.size(), other->second.size()));
    compared += both;
    errors += both - count_common(values, other->second);
  }
}

std::optional<double> share_without_error(int64_t errors, int64_t compared) {
  if (compared == 0) return std::nullopt;
  return static_cast<double>(compared - errors) / static_cast<double>(compared);
}

}  // namespace

ClinicalFacts read_clinical_facts(std::string_view text) {
  const std::u32string characters = folded(text);
  FactReader reader;
  reader.read(characters);
  return {reader.take(), read_measurements(characters)};
}

ClinicalAgreement& ClinicalAgreement::operator+=(const ClinicalAgreement& other) {
  laterality_compared += other.laterality_compared;
  laterality_errors += other.laterality_errors;
  negation_compared += other.negation_compared;
  negation_errors += other.negation_errors;
  numbers_matched += other.numbers_matched;
  numbers_generated += other.numbers_generated;
  numbers_reference += other.numbers_reference;
  return *this;
}

std::optional<double> ClinicalAgreement::laterality_agreement() const {
  return share_without_error(laterality_errors, laterality_compared);
}

std::optional<double> ClinicalAgreement::negation_agreement() const {
  return share_without_error(negation_errors, negation_compared);
}

std::optional<double> ClinicalAgreement::number_f1() const {
  const int64_t numbers = numbers_generated + numbers_reference;
  if (numbers == 0) return std::nullopt;
  return 2.0 * static_cast<double>(numbers_matched) / static_cast<double>(numbers);
}

ClinicalAgreement compare_clinically(std::string_view generated, std::string_view reference) {
  const ClinicalFacts g = read_clinical_facts(generated);
  const ClinicalFacts r = read_clinical_facts(reference);
  ClinicalAgreement result;
  compare(sides_of(g.facts), sides_of(r.facts), result.laterality_compared,
          result.laterality_errors);
  compare(states_of(g.facts), states_of(r.facts), result.negation_compared, result.negation_errors);
  result.numbers_matched = count_common(g.measurements, r.measurements);
  result.numbers_generated = static_cast<int64_t>(g.measurements.size());
  result.numbers_reference = static_cast<int64_t>(r.measurements.size());
  return result;
}

}  // namespace radgpt
