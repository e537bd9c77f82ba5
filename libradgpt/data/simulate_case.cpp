#include "libradgpt/data/simulate_case.h"

#include <algorithm>
#include <string>

#include "libradgpt/base/error.h"

namespace radgpt {
namespace {

constexpr uint32_t kNorthPercent = 75;
constexpr PerCentre<std::array<int, kModalities>> kModalityWeights = {{{40, 35, 25}, {25, 30, 45}}};
constexpr uint32_t kCompanionPercent = 30;
constexpr uint32_t kNewChangePercent = 40;
/// Of 100 reports with a main disease, or without: how many have 0, 1, 2, 3 incidental changes.
constexpr std::array<int, 4> kIncidentalsWithDisease = {35, 45, 20, 0};
constexpr std::array<int, 4> kIncidentalsAlone = {6, 44, 36, 14};

bool chance(Random& random, uint32_t percent) { return random.next_below(100) < percent; }

int between(Random& random, int low, int high) {
  return low + static_cast<int>(random.next_below(static_cast<uint32_t>(high - low + 1)));
}

template <typename Weights>
size_t pick(Random& random, const Weights& weights) {
  int total = 0;
  for (const int weight : weights) total += weight;
  int left = between(random, 1, total);
  size_t index = 0;
  while ((left -= weights[index]) > 0) ++index;
  return index;
}

const LesionKind& kind_named(const ModalityModel& model, std::string_view key) {
  const auto found = std::find_if(model.kinds.begin(), model.kinds.end(),
                                  [key](const LesionKind& kind) { return kind.key == key; });
  if (found == model.kinds.end()) {
    fail(ErrorKind::kInput, "simulation: ", model.name, " has no kind of lesion named ", key);
  }
  return *found;
}

enum class Role { kDisease, kIncidental };

const LesionKind& sample_kind(const ModalityModel& model, Centre centre, Role role,
                              Random& random) {
  std::vector<int> weights;
  for (const LesionKind& kind : model.kinds) {
    const bool fits = kind.disease.empty() == (role == Role::kIncidental);
    weights.push_back(fits ? at(kind.weight, centre) : 0);
  }
  return model.kinds[pick(random, weights)];
}

bool same_place(const Lesion& lesion, const Site& site) {
  return !site.area.empty() && lesion.site.area == site.area && lesion.site.part == site.part;
}

void sample_size(Lesion& lesion, Random& random) {
  lesion.length = between(random, lesion.kind->smallest, lesion.kind->largest);
  lesion.width = std::max(2, lesion.length * between(random, 65, 95) / 100);
}

uint32_t sample_features(int count, size_t features, Random& random) {
  uint32_t bits = 0;
  while (count > 0) {
    const uint32_t bit = 1u << random.next_below(static_cast<uint32_t>(features));
    if ((bits & bit) == 0) --count;
    bits |= bit;
  }
  return bits;
}

/// Adds a lesion of this kind at a place where none is yet. A kind without sites comes once.
void add_lesion(CaseState& state, const LesionKind& kind, Random& random) {
  Lesion lesion;
  lesion.kind = &kind;
  const auto taken = [&](const Lesion& other) {
    return kind.sites.empty() ? other.kind == &kind : same_place(other, lesion.site);
  };
  constexpr int kTries = 8;
  for (int i = 0; i < kTries; ++i) {
    if (!kind.sites.empty()) {
      lesion.site = kind.sites[random.next_below(static_cast<uint32_t>(kind.sites.size()))];
    }
    if (std::any_of(state.lesions.begin(), state.lesions.end(), taken)) continue;
    if (kind.largest > 0) sample_size(lesion, random);
    const size_t features = modality_model(state.modality).features.size();
    lesion.suspicious = sample_features(kind.suspicious_features, features, random);
    state.lesions.push_back(lesion);
    return;
  }
}

void add_incidental(CaseState& state, Random& random) {
  const ModalityModel& model = modality_model(state.modality);
  const LesionKind& kind = sample_kind(model, state.centre, Role::kIncidental, random);
  const bool known = std::any_of(state.lesions.begin(), state.lesions.end(),
                                 [&](const Lesion& lesion) { return lesion.kind == &kind; });
  if (!known) add_lesion(state, kind, random);
}

/// Whether places and sizes alone make it unlikely that another patient's report has the same
/// words.
bool tells_apart(const CaseState& state) {
  constexpr size_t kManyCases = 700;
  size_t cases = 1;
  for (const Lesion& lesion : state.lesions) {
    cases *= std::max<size_t>(1, lesion.kind->sites.size());
    cases *= static_cast<size_t>(lesion.kind->largest - lesion.kind->smallest + 1);
  }
  return cases >= kManyCases;
}

/// Puts the lesions beside the main one in the order in which the centre's findings name them.
void order_lesions(CaseState& state) {
  const std::span<const int> order = at(modality_model(state.modality).order, state.centre);
  const auto place = [order](const Lesion& lesion) {
    return std::find(order.begin(), order.end(), lesion.kind->region) - order.begin();
  };
  const bool ill = state.disease() != "none";
  std::stable_sort(state.lesions.begin() + (ill ? 1 : 0), state.lesions.end(),
                   [place](const Lesion& a, const Lesion& b) { return place(a) < place(b); });
}

int scaled(int millimetres, int percent) { return std::max(2, (millimetres * percent + 50) / 100); }

void advance_lesion(Lesion& lesion, const ModalityModel& model, Random& random) {
  lesion.previous_length = lesion.length;
  lesion.previous_width = lesion.width;
  lesion.trend = Trend::kSame;
  if (!lesion.kind->becomes.empty()) lesion.kind = &kind_named(model, lesion.kind->becomes);
  if (lesion.kind->course == Course::kStays) return;
  constexpr std::array<Trend, 3> kTrends = {Trend::kSame, Trend::kMore, Trend::kLess};
  lesion.trend = kTrends[random.next_below(3)];
  if (lesion.length == 0 || lesion.trend == Trend::kSame) return;
  const int percent =
      lesion.trend == Trend::kMore ? between(random, 120, 150) : between(random, 60, 85);
  const int length =
      std::clamp(scaled(lesion.length, percent), lesion.kind->smallest, lesion.kind->largest);
  lesion.width = std::min(length, scaled(lesion.width, percent));
  lesion.length = length;
  if (length == lesion.previous_length) {  // at the end of the kind's range
    lesion.width = lesion.previous_width;
    lesion.trend = Trend::kSame;
  }
}

}  // namespace

const ModalityModel& modality_model(Modality modality) {
  switch (modality) {
    case Modality::kChestCt:
      return chest_ct_model();
    case Modality::kBrainMri:
      return brain_mri_model();
    case Modality::kThyroidUs:
      break;
  }
  return thyroid_us_model();
}

std::string_view CaseState::disease() const {
  return lesions.empty() || lesions.front().kind->disease.empty() ? "none"
                                                                  : lesions.front().kind->disease;
}

bool CaseState::needs_action() const {
  return std::any_of(lesions.begin(), lesions.end(),
                     [](const Lesion& lesion) { return lesion.kind->needs_action; });
}

CaseState sample_case(Random& random) {
  CaseState state;
  state.centre = chance(random, kNorthPercent) ? Centre::kNorth : Centre::kSouth;
  state.modality = static_cast<Modality>(pick(random, at(kModalityWeights, state.centre)));
  const ModalityModel& model = modality_model(state.modality);
  const bool ill =
      !chance(random, static_cast<uint32_t>(at(model.no_disease_percent, state.centre)));
  if (ill) {
    const LesionKind& kind = sample_kind(model, state.centre, Role::kDisease, random);
    add_lesion(state, kind, random);
    for (const std::string_view companion : kind.companions) {
      if (companion.empty() || !chance(random, kCompanionPercent)) continue;
      add_lesion(state, kind_named(model, companion), random);
    }
  }
  const size_t incidentals = pick(random, ill ? kIncidentalsWithDisease : kIncidentalsAlone);
  for (size_t i = 0; i < incidentals; ++i) add_incidental(state, random);
  if (!tells_apart(state)) {
    for (const std::string_view key : model.normal_measures) {
      add_lesion(state, kind_named(model, key), random);
    }
  }
  order_lesions(state);
  return state;
}

void advance_case(CaseState& state, Random& random) {
  ++state.visit;
  for (Lesion& lesion : state.lesions) {
    advance_lesion(lesion, modality_model(state.modality), random);
  }
  if (chance(random, kNewChangePercent)) add_incidental(state, random);
  order_lesions(state);
}

}  // namespace radgpt
