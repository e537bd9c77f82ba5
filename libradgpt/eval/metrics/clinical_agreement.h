#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace radgpt {

/// The side that a text gives a finding.
enum class Laterality { kNone, kLeft, kRight, kBoth };
/// Whether a text says that a finding is there.
enum class FindingStatus { kPresent, kAbsent, kUncertain };

/// A finding as a text states it.
struct ClinicalFact {
  std::string_view finding;  ///< canonical name of the lexicon
  Laterality laterality = Laterality::kNone;
  FindingStatus status = FindingStatus::kPresent;

  bool operator==(const ClinicalFact&) const = default;
};

/// What a report says, as far as the rules below can read it.
struct ClinicalFacts {
  std::vector<ClinicalFact> facts;    ///< in the order of the text, each once
  std::vector<int64_t> measurements;  ///< hundredths of a millimetre, ascending
};

/// Reads a Chinese report with a lexicon (clinical_lexicon.cpp: findings of CT, MR and ultrasound,
/// and cues) and these rules. It is no parser: it is meant for counts over many reports.
///
///   finding      at each place the longest term; synonyms share a name (肿块, 占位性病变 -> 占位)
///   clause       ends at ，。；？！ or a line feed
///   sentence     the same without the comma
///   laterality   the last side (左, 右, 双, 两侧 …) before the finding in its sentence; an organ
///                without sides (纵隔, 垂体, 峡部 …) in between takes it back
///   absent       after 未见, 无, 不伴, 不考虑 … in the clause, so through a chain of 、和及或;
///                before 阴性 in the clause; 除外 and 排除 deny the findings before them in the
///                clause, or if there are none those after
///   uncertain    after 考虑, 疑, 倾向 … in the clause; before 待定, 待查 or ？; 可能, 不除外, 待排
///   …
///                doubt the findings before them in the clause, or if there are none those after
///   present      otherwise; absent goes before uncertain
///   measurement  a number with mm, cm, 毫米 or 厘米; of numbers joined by × x * - ~ those without
///                a unit have that of the next (8×6mm). Speeds (cm/s) and other numbers are left
///                out.
///
/// Full-width forms count as ASCII. Any bytes are accepted.
ClinicalFacts read_clinical_facts(std::string_view text);

/// How far generated texts agree with their references in what costs patients most. Counts add up
/// over a corpus.
struct ClinicalAgreement {
  int64_t laterality_compared = 0;
  int64_t laterality_errors = 0;
  int64_t negation_compared = 0;
  int64_t negation_errors = 0;
  int64_t numbers_matched = 0;
  int64_t numbers_generated = 0;
  int64_t numbers_reference = 0;

  ClinicalAgreement& operator+=(const ClinicalAgreement& other);
  bool operator==(const ClinicalAgreement&) const = default;

  /// Share of the compared without error; nothing if nothing was compared.
  std::optional<double> laterality_agreement() const;
  std::optional<double> negation_agreement() const;
  /// 2 matched / (generated + reference): the harmonic mean of precision matched / generated and
  /// recall matched / reference; nothing if neither text has numbers.
  std::optional<double> number_f1() const;
};

/// Compares what both texts speak of; what only one mentions is left to the overlap metrics.
///
///   laterality   of each finding, the sides at which a text has it, present or uncertain, each
///                once: min(|G|, |R|) are compared, min(|G|, |R|) - |G and R| are errors
///   negation     of each finding, the states a text gives it, each once: likewise
///   numbers      the measurements as multisets: matched = |G and R|
ClinicalAgreement compare_clinically(std::string_view generated, std::string_view reference);

}  // namespace radgpt
