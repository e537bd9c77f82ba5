#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace radgpt {

/// One way to compute the same thing.
struct Contender {
  std::string name;
  std::function<void()> run;
};

struct Spread {
  double p20, median, p80;
};

inline Spread spread_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {values[values.size() / 5], values[values.size() / 2], values[values.size() * 4 / 5]};
}

/// Milliseconds of each contender in each round.
using Times = std::vector<std::vector<double>>;

/// Runs all of them once to warm up, then `rounds` times in turn, so that whatever else the machine
/// does strikes all alike.
inline Times time_in_turn(const std::vector<Contender>& contenders, int rounds) {
  Times times(contenders.size());
  for (const Contender& contender : contenders) contender.run();
  for (int round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < contenders.size(); ++i) {
      const auto start = std::chrono::steady_clock::now();
      contenders[i].run();
      const std::chrono::duration<double, std::milli> elapsed =
          std::chrono::steady_clock::now() - start;
      times[i].push_back(elapsed.count());
    }
  }
  return times;
}

/// How many times as long as `base` contender `i` takes: the median over the rounds, within each of
/// which both met the same machine.
inline double ratio_of(const Times& times, size_t i, size_t base) {
  std::vector<double> ratios;
  for (size_t round = 0; round < times[i].size(); ++round) {
    ratios.push_back(times[i][round] / times[base][round]);
  }
  return spread_of(ratios).median;
}

}  // namespace radgpt
