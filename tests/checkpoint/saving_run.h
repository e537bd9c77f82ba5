#pragma once

#include <string>

#include "tests/checkpoint/traced_process.h"

namespace radgpt {

// A run that resumes and saves, made to be disturbed, and what must be true after it was.

inline constexpr int64_t kLastStep = 5;

/// Where it starts: interrupted after step 3, which it keeps beside step 1, the best so far, while
/// a save and a removal were cut off.
void prepare_saving_run(const std::string& folder);

/// Resumes, then saves step 4, a new best one that replaces all others, and 5, which replaces none.
/// Tries a save that fails a second time. Reports every step that was saved and every error. Gives
/// 0, or the exit code of the last error.
int saving_run(const std::string& folder, const TracedProcess::Report& report);

bool reports_step(const std::string& reports, int64_t step);

/// Checks that everything is there that was saved before or reported as saved, that what is there
/// is whole, that a run which has saved all has left nothing else, and that another run goes on
/// without help.
void check_folder(const std::string& folder, const std::string& reports);

/// Where a folder lies in memory if that can be: thousands of fsyncs take minutes on a disk.
std::string place_in_memory();

/// Whether nothing can be traced here; says so.
bool tracing_is_skipped();

}  // namespace radgpt
