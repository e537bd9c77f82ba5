#pragma once

#include <string>
#include <vector>

namespace radgpt {

/// One broken rule: "path:line: what the rule is, and what stands there".
using Faults = std::vector<std::string>;

/// Includes of one source file of libradgpt/ that the layers forbid.
///
/// `path` is relative to the repository, such as "libradgpt/data/task.h". A folder may include
/// itself, `base`, the folders the table names for it, and what those may include. Folders that
/// end up in radgpt_core and kernels/ may not include LibTorch; kernels/ may include no more of
/// base than error.h, pack.h and philox.h; no header may include the whole of LibTorch; a quoted
/// include names its path from the repository's root.
Faults include_faults(const std::string& path, const std::string& text);

/// Calls that run a program, load code, or read files that can hold code.
Faults banned_call_faults(const std::string& path, const std::string& text);

/// Files longer than `limit` lines.
Faults length_faults(const std::string& path, const std::string& text, int limit);

}  // namespace radgpt
