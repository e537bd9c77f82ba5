#pragma once

#include "tests/simt/scheduler.h"

namespace simt {

/// The product of a warp's lanes, each of which holds its fragments.
void multiply_fragments(MultiplyAdd* lanes);

}  // namespace simt
