#include "libradgpt/record/summary.h"

#include <fstream>
#include <sstream>

#include "libradgpt/base/files.h"

namespace radgpt {

void write_summary_section(const std::string& path, const std::string& heading,
                           const std::string& title, const std::string& markdown) {
  std::string page;
  bool replaced = false;
  bool inside = false;
  const std::string section = "## " + title + "\n\n" + markdown + "\n";
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("## ", 0) == 0) {
      inside = line == "## " + title;
      if (inside) {
        page += section;
        replaced = true;
      }
    }
    if (!inside) page += line + "\n";
  }
  if (page.empty()) page = "# " + heading + "\n\n";
  if (!replaced) page += section;
  write_file_atomically(path, page);
}

}  // namespace radgpt
