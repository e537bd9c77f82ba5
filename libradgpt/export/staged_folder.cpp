#include "libradgpt/export/staged_folder.h"

#include <cstdlib>

#include "libradgpt/base/error.h"
#include "libradgpt/base/files.h"

namespace radgpt {
namespace {

namespace fs = std::filesystem;

void require_free(const std::string& wanted) {
  std::error_code error;
  if (!fs::exists(fs::symlink_status(wanted, error))) return;
  const bool is_empty = fs::is_directory(wanted, error) && fs::is_empty(wanted, error);
  require(is_empty && !error, wanted, ": must be absent or an empty folder, got something");
}

/// Moves an empty folder away and back, as whether it can be replaced is to be known before hours
/// of work. It is not removed, for it may be somebody's working folder.
void require_replaceable(const fs::path& wanted, const fs::path& aside) {
  std::error_code error;
  if (!fs::exists(wanted, error)) return;
  fs::rename(wanted, aside, error);
  if (!error) fs::rename(aside, wanted, error);
  if (error) {
    fail(ErrorKind::kEnvironment, wanted.string(), ": cannot be replaced: ", error.message());
  }
}

}  // namespace

StagedFolder::StagedFolder(const std::string& wanted) {
  require_free(wanted);
  std::error_code error;
  wanted_ = fs::absolute(wanted, error);
  if (!error) wanted_ = fs::weakly_canonical(wanted_, error);
  if (!wanted_.has_filename()) wanted_ = wanted_.parent_path();
  if (!error) fs::create_directories(wanted_.parent_path(), error);
  std::string pattern = wanted_.string() + ".partial-XXXXXX";
  require_replaceable(wanted_, pattern);
  if (error || mkdtemp(pattern.data()) == nullptr) {
    fail(ErrorKind::kEnvironment, wanted, ": cannot make the folder");
  }
  path_ = pattern;
}

StagedFolder::~StagedFolder() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

void StagedFolder::commit() {
  std::error_code error;
  fs::rename(path_, wanted_, error);  // replaces an empty folder
  if (error) {
    fail(ErrorKind::kEnvironment, wanted_.string(), ": cannot be made: ", error.message());
  }
  path_.clear();
  sync_folder(wanted_.parent_path().string());
}

}  // namespace radgpt
