#pragma once

#include <string>

namespace radgpt {

/// Puts a section into the Markdown page of a run, `## TITLE` and what follows it: in place of the
/// section of that title, or at the end. Makes the page, headed `# HEADING`, if there is none.
void write_summary_section(const std::string& path, const std::string& heading,
                           const std::string& title, const std::string& markdown);

}  // namespace radgpt
