#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace radgpt {

/// The lengths in a text, in hundredths of a millimetre, ascending: numbers with mm, cm, 毫米 or
/// 厘米 in any case. Of numbers joined by × x * - ~ those without a unit have that of the next one,
/// so 8×6mm gives 600 and 800. Speeds (cm/s) are no lengths; numbers of more than 6 digits before
/// the point are left out. Full-width forms must be folded to ASCII before.
std::vector<int64_t> read_measurements(std::u32string_view text);

}  // namespace radgpt
