#include "libradgpt/eval/metrics/word_hmm.h"

#include "libradgpt/eval/metrics/word_lines.h"

namespace radgpt {
namespace {

// In the order of their letters: where two ways are equally probable the later state is taken.
enum State { kBegin, kEnd, kMiddle, kSingle };

/// The two states that may come before each state, in ascending order.
constexpr std::array<std::array<int, 2>, 4> kBefore = {
    {{kEnd, kSingle}, {kBegin, kMiddle}, {kBegin, kMiddle}, {kEnd, kSingle}}};

int state_named(const WordLines& lines, size_t field) {
  constexpr std::string_view kNames = "BEMS";
  const std::string_view name = lines.fields()[field];
  lines.check(name.size() == 1 && kNames.find(name[0]) != kNames.npos,
              "state must be B, E, M or S");
  return static_cast<int>(kNames.find(name[0]));
}

}  // namespace

WordHmm::WordHmm() {
  start_.fill(kNever);
  for (PerState& row : transition_) row.fill(kNever);
  no_emission_.fill(kNever);
}

WordHmm WordHmm::read(const std::string& path) {
  WordHmm model;
  WordLines lines(path);
  while (lines.next()) {
    const std::string_view kind = lines.fields()[0];
    const bool is_start = kind == "start";
    lines.check(is_start || kind == "trans" || kind == "emit", "start, trans or emit first");
    lines.check(lines.fields().size() == (is_start ? 3 : 4),
                "start B x, trans B E x or emit B 一 x");
    const int state = state_named(lines, 1);
    if (is_start) {
      model.start_[state] = lines.number(2);
    } else if (kind == "trans") {
      model.transition_[state][state_named(lines, 2)] = lines.number(3);
    } else {
      const std::u32string character = lines.text(2);
      lines.check(character.size() == 1, "one character is emitted");
      const auto row = model.emission_.try_emplace(character[0], model.no_emission_).first;
      row->second[state] = lines.number(3);
    }
  }
  return model;
}

const WordHmm::PerState& WordHmm::emission(char32_t c) const {
  const auto found = emission_.find(c);
  return found == emission_.end() ? no_emission_ : found->second;
}

WordHmm::PerState WordHmm::advance(const PerState& before, char32_t c,
                                   std::array<int, kStates>& from) const {
  PerState after{};
  for (int state = 0; state < kStates; ++state) {
    const auto via = [&](int previous) {
      return before[previous] + transition_[previous][state] + emission(c)[state];
    };
    const auto [early, late] = kBefore[state];
    from[state] = via(late) >= via(early) ? late : early;
    after[state] = via(from[state]);
  }
  return after;
}

std::vector<size_t> WordHmm::word_lengths(std::u32string_view text) const {
  std::vector<std::array<int, kStates>> from(text.size());
  PerState best = start_;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i > 0) {
      best = advance(best, text[i], from[i]);
    } else {
      for (int state = 0; state < kStates; ++state) best[state] += emission(text[0])[state];
    }
  }
  std::vector<size_t> lengths;
  int state = best[kSingle] >= best[kEnd] ? kSingle : kEnd;
  for (size_t i = text.size(); i-- > 0; state = from[i][state]) {
    if (state == kSingle || state == kEnd) lengths.push_back(0);
    ++lengths.back();
  }
  return {lengths.rbegin(), lengths.rend()};
}

}  // namespace radgpt
