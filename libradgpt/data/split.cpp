#include "libradgpt/data/split.h"

#include "libradgpt/base/error.h"
#include "libradgpt/base/hash.h"

namespace radgpt {

std::string_view split_name(Split split) {
  switch (split) {
    case Split::kTrain:
      return "train";
    case Split::kValidation:
      return "validation";
    case Split::kTest:
      return "test";
  }
  return "";
}

Split split_of(std::string_view patient, const SplitOptions& options) {
  const bool fractions =
      options.validation >= 0 && options.test >= 0 && options.validation + options.test <= 1;
  require(fractions, "split: validation and test must be at least 0 and together at most 1, got ",
          options.validation, " and ", options.test);
  // The length keeps (salt "a", patient "bc") apart from (salt "ab", patient "c").
  const Sha256Digest digest = sha256(concat(options.salt.size(), ':', options.salt, patient));
  uint64_t bits = 0;
  for (int i = 0; i < 8; ++i) bits = bits << 8 | digest[static_cast<size_t>(i)];
  const double place = static_cast<double>(bits >> 11) * 0x1p-53;
  if (place < options.test) return Split::kTest;
  if (place < options.test + options.validation) return Split::kValidation;
  return Split::kTrain;
}

}  // namespace radgpt
