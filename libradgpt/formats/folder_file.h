#pragma once

#include <string>
#include <string_view>

#include "libradgpt/base/files.h"

namespace radgpt {

/// Whether a folder has an entry of that name, a broken link too.
bool has_entry(const std::string& folder, std::string_view name);

/// Opens a file of a model's folder, which may be a link that stays inside, or one into the blobs
/// of the Hugging Face cache that the folder is a snapshot of (models--X/snapshots/REVISION has
/// links into models--X/blobs). A link that leads elsewhere is an Error(kInput), as is all that
/// open_regular_file refuses.
InputFile open_inside(const std::string& folder, const std::string& name);

}  // namespace radgpt
