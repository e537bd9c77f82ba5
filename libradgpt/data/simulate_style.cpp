#include "libradgpt/data/simulate_style.h"

#include <algorithm>
#include <array>
#include <vector>

#include "libradgpt/base/error.h"

namespace radgpt {
namespace {

struct Word {
  std::string_view name;
  PerCentre<std::string_view> text;
};

constexpr Word kWords[] = {
    {"see", {"[可见|见]", "[见|示]"}},
    {"lungs", {"双肺", "两肺"}},
    {"both", {"双侧", "两侧"}},
    {"clear", {"边界清楚", "边缘清晰"}},
    {"unclear", {"边界模糊", "边缘不清"}},
    {"measure", {"大小约{size}", "约{size}"}},
    {"review", {"复查", "随诊"}},
    {"old", {"陈旧性病灶", "陈旧灶"}},
    {"mass", {"占位", "占位性病变"}},
    {"inflammation", {"炎症", "炎性病变"}},
    {"compared", {"与前片比较变化不大", "对比前片[无明显变化|变化不大]"}},
};

constexpr std::string_view trend_word(const Lesion& lesion) {
  switch (lesion.trend) {
    case Trend::kMore:
      return lesion.length > 0 ? "增大" : "进展";
    case Trend::kLess:
      return lesion.length > 0 ? "缩小" : "吸收";
    default:
      return "相仿";
  }
}

bool shows_trend(const Lesion& lesion) {
  return lesion.trend != Trend::kNew && lesion.kind->course == Course::kChanges;
}

}  // namespace

ReportWriter::ReportWriter(const CaseState& state, Random wording)
    : state_(state), model_(modality_model(state.modality)), wording_(wording) {}

std::string ReportWriter::findings() {
  const bool north = state_.centre == Centre::kNorth;
  std::vector<std::string> sentences;
  const auto add = [&](std::string sentence) {
    if (!sentence.empty()) sentences.push_back(std::move(sentence));
  };
  for (const int number : at(model_.order, state_.centre)) {
    const Region& region = model_.regions[static_cast<size_t>(number)];
    bool normal = true;
    for (const Lesion& lesion : state_.lesions) {
      if (lesion.kind->region != number) continue;
      add(write(lesion.kind->findings, &lesion));
      normal = false;
    }
    add(write(at(normal ? region.normal : region.rest, state_.centre), nullptr));
  }
  const bool told = std::any_of(state_.lesions.begin(), state_.lesions.end(), shows_trend);
  if (state_.visit > 0 && !told) add(write("{compared}", nullptr));

  std::string text;
  for (size_t i = 0; i < sentences.size(); ++i) {
    text += sentences[i] + (north || i + 1 == sentences.size() ? "。" : "；");
  }
  return text;
}

std::string ReportWriter::impression() {
  std::vector<std::string> items;
  for (const Lesion& lesion : state_.lesions) {
    std::string item = write(lesion.kind->impression, &lesion);
    if (!item.empty()) items.push_back(std::move(item));
  }
  if (items.empty()) {
    items.push_back(write(at(model_.normal, state_.centre), nullptr));
  } else if (state_.disease() == "none") {
    const bool first = state_.centre == Centre::kNorth;
    items.insert(first ? items.begin() : items.end(),
                 write(at(model_.no_disease, state_.centre), nullptr));
  }
  return join_impression(items);
}

std::string ReportWriter::join_impression(const std::vector<std::string>& items) const {
  std::string text;
  for (size_t i = 0; i < items.size(); ++i) {
    const std::string number = std::to_string(i + 1);
    if (state_.centre == Centre::kNorth) {
      text += number + "." + items[i] + "。";
    } else {
      if (items.size() > 1) text += number + "、";
      text += items[i] + (i + 1 == items.size() ? "。" : "；");
    }
  }
  return text;
}

std::string ReportWriter::brief() {
  std::string text;
  for (const Lesion& lesion : state_.lesions) {
    const std::string phrase = write(lesion.kind->brief, &lesion);
    if (phrase.empty()) continue;
    if (!text.empty()) text += "，";
    text += phrase;
  }
  return text.empty() ? std::string(model_.normal_brief) : text;
}

std::string ReportWriter::write(std::string_view pattern, const Lesion* lesion) {
  std::string text;
  while (!pattern.empty()) {
    const size_t special = pattern.find_first_of("{[");
    text += pattern.substr(0, special);
    if (special == std::string_view::npos) break;
    const bool name = pattern[special] == '{';
    const size_t end = pattern.find(name ? '}' : ']', special);
    const std::string_view inside = pattern.substr(special + 1, end - special - 1);
    text += name ? replacement(inside, lesion) : write(choose(inside), lesion);
    pattern.remove_prefix(end + 1);
  }
  return text;
}

std::string ReportWriter::replacement(std::string_view name, const Lesion* lesion) {
  const auto word = std::find_if(std::begin(kWords), std::end(kWords),
                                 [name](const Word& entry) { return entry.name == name; });
  if (word != std::end(kWords)) return write(at(word->text, state_.centre), lesion);
  if (lesion != nullptr) {
    if (name == "area") return write(lesion->site.area, lesion);
    if (name == "place") return write(lesion->site.area, lesion) + std::string(lesion->site.part);
    if (name == "size") return size(lesion->length, lesion->width);
    if (name == "length") return length(lesion->length);
    if (name == "width") return length(lesion->width);
    if (name == "change") return change(*lesion);
    if (name == "trend") {
      return shows_trend(*lesion) ? "，较前" + std::string(trend_word(*lesion)) : "";
    }
    if (name == "features") return features(*lesion);
  }
  fail(ErrorKind::kInput, "simulation: no word for {", name, "}");
}

/// A house has its habits: the first alternative comes 7 times in 10.
std::string_view ReportWriter::choose(std::string_view alternatives) {
  std::vector<std::string_view> choices;
  for (size_t begin = 0; begin <= alternatives.size();) {
    const size_t end = std::min(alternatives.find('|', begin), alternatives.size());
    choices.push_back(alternatives.substr(begin, end - begin));
    begin = end + 1;
  }
  if (choices.size() == 1 || wording_.next_below(10) < 7) return choices[0];
  return choices[1 + wording_.next_below(static_cast<uint32_t>(choices.size() - 1))];
}

std::string ReportWriter::length(int millimetres) const {
  if (state_.centre == Centre::kNorth) return std::to_string(millimetres) + "mm";
  return std::to_string(millimetres / 10) + "." + std::to_string(millimetres % 10) + "cm";
}

std::string ReportWriter::size(int length_mm, int width_mm) const {
  return length(length_mm) + "×" + length(width_mm);
}

std::string ReportWriter::change(const Lesion& lesion) {
  if (!shows_trend(lesion)) return "";
  const std::string trend(trend_word(lesion));
  if (lesion.trend == Trend::kSame || lesion.length == 0) return "，较前" + trend;
  const std::string before = size(lesion.previous_length, lesion.previous_width);
  return state_.centre == Centre::kNorth ? "，较前（" + before + "）" + trend
                                         : "，较前" + trend + "（原" + before + "）";
}

std::string ReportWriter::features(const Lesion& lesion) {
  std::string text;
  for (size_t i = 0; i < model_.features.size(); ++i) {
    const Feature& feature = model_.features[i];
    const bool there = (lesion.suspicious >> i & 1) != 0;
    const std::string phrase = write(there ? feature.suspicious : feature.harmless, &lesion);
    if (!phrase.empty()) text += "，" + phrase;
  }
  return text;
}

}  // namespace radgpt
