#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "libradgpt/base/random.h"

namespace radgpt {

enum class Centre { kNorth, kSouth };
enum class Modality { kChestCt, kBrainMri, kThyroidUs };

inline constexpr int kCentres = 2;
inline constexpr int kModalities = 3;

/// Something for each centre; index it with at().
template <typename Value>
using PerCentre = std::array<Value, kCentres>;

template <typename Value>
const Value& at(const PerCentre<Value>& values, Centre centre) {
  return values[static_cast<size_t>(centre)];
}

/// Where a lesion is: what a diagnosis names, and the closer part that only the findings name.
struct Site {
  std::string_view area;
  std::string_view part = "";
};

/// What a lesion does between two reports of a patient.
enum class Course { kStays, kChanges };

/// What a lesion did since the report before.
enum class Trend { kNew, kSame, kMore, kLess };

/// One kind of lesion or change. `findings`, `impression` and `brief` are patterns (see
/// simulate_style.h); an empty one leaves nothing in that text.
struct LesionKind {
  std::string_view key;           ///< its name in `becomes` and `companions`
  std::string_view disease = "";  ///< the label; empty: an incidental change
  bool needs_action = false;      ///< treatment or follow-up: label abnormal
  int region = 0;                 ///< the part of the body whose normal sentence it replaces
  std::string_view findings;
  std::string_view impression;
  std::string_view brief;
  std::span<const Site> sites = {};
  int smallest = 0;  ///< range of the larger diameter in mm; 0: not measured
  int largest = 0;
  PerCentre<int> weight = {};  ///< how often, among diseases or among incidental changes
  Course course = Course::kStays;
  std::string_view becomes = "";                 ///< the kind it is in the next report
  std::array<std::string_view, 2> companions{};  ///< kinds that often come with it
  int suspicious_features = 0;                   ///< of the list of ModalityModel::features
};

/// Phrases for a feature that a lesion lacks or has; the first may be empty.
struct Feature {
  std::string_view harmless;
  std::string_view suspicious;
};

/// What the two centres write about a region in which nothing is found, and about the rest of a
/// region in which something is. Patterns; empty: nothing.
struct Region {
  PerCentre<std::string_view> normal;
  PerCentre<std::string_view> rest;
};

/// Everything that is particular to one modality, as data.
struct ModalityModel {
  std::string_view name;  ///< CT, MR, US
  std::span<const LesionKind> kinds;
  std::span<const Feature> features;
  std::span<const Region> regions;
  PerCentre<std::span<const int>> order;   ///< of the regions in the findings
  PerCentre<std::string_view> no_disease;  ///< impression beside incidental changes
  PerCentre<std::string_view> normal;      ///< impression where there is nothing else
  std::string_view normal_brief;           ///< brief where there is nothing else
  /// Kinds that a report measures in which hardly anything else is measured.
  std::array<std::string_view, 2> normal_measures;
  PerCentre<int> no_disease_percent;
};

const ModalityModel& chest_ct_model();
const ModalityModel& brain_mri_model();
const ModalityModel& thyroid_us_model();
const ModalityModel& modality_model(Modality modality);

struct Lesion {
  const LesionKind* kind = nullptr;
  Site site;
  int length = 0;  ///< mm, 0: not measured
  int width = 0;
  int previous_length = 0;
  int previous_width = 0;
  Trend trend = Trend::kNew;
  uint32_t suspicious = 0;  ///< bit i: feature i of the modality is there
};

/// The clinical state that a report is written from.
struct CaseState {
  Centre centre = Centre::kNorth;
  Modality modality = Modality::kChestCt;
  int visit = 0;                ///< reports of the patient before this one
  std::vector<Lesion> lesions;  ///< the main disease first, if there is one

  std::string_view disease() const;
  bool needs_action() const;
};

/// A patient's state at the first report.
CaseState sample_case(Random& random);

/// The state at the next report: lesions grow, heal, change their kind, or others join them.
void advance_case(CaseState& state, Random& random);

}  // namespace radgpt
