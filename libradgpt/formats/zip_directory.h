#pragma once

#include <vector>

#include "libradgpt/base/files.h"
#include "libradgpt/formats/zip_archive.h"

namespace radgpt {

/// Checks all of an archive but the entries' bytes, as ZipArchive says, and lists the entries in
/// the order of the file.
std::vector<ZipEntry> read_zip_directory(const InputFile& file);

}  // namespace radgpt
