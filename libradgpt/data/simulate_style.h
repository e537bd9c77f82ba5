#pragma once

#include <string>
#include <string_view>

#include "libradgpt/base/random.h"
#include "libradgpt/data/simulate_case.h"

namespace radgpt {

/// Writes patterns in the words of one centre. In a pattern
///
///   {place} {area}      site of the lesion: with its part, without
///   {size}              both diameters: "8mm×6mm" in the north, "0.8cm×0.6cm" in the south
///   {length} {width}    one of them
///   {change} {trend}    what the lesion did since the report before, with its size then or
///                       without; nothing in a first report
///   {features}          harmless and suspicious features
///   {see} …             a word of the centre (the table in simulate_style.cpp)
///   [a|b|c]             one of them: the first more often than not
///
/// The random numbers decide about wording alone, never about content.
class ReportWriter {
 public:
  ReportWriter(const CaseState& state, Random wording);

  std::string findings();
  std::string impression();
  std::string brief();

 private:
  std::string write(std::string_view pattern, const Lesion* lesion);
  std::string replacement(std::string_view name, const Lesion* lesion);
  std::string_view choose(std::string_view alternatives);
  std::string length(int millimetres) const;
  std::string size(int length, int width) const;
  std::string change(const Lesion& lesion);
  std::string features(const Lesion& lesion);
  std::string join_impression(const std::vector<std::string>& items) const;

  const CaseState& state_;
  const ModalityModel& model_;
  Random wording_;
};

}  // namespace radgpt
