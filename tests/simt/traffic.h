#pragma once

namespace simt {

/// The scheduler says so when a launch begins, when a block of it begins, and when it has ended
/// without a fault.
void begin_traffic(const char* kernel);
void begin_block_traffic();
void end_traffic();

}  // namespace simt
