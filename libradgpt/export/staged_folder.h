#pragma once

#include <filesystem>
#include <string>

namespace radgpt {

/// A new folder beside the one wanted, which takes its name at `commit`; else it is removed with
/// all that is in it. Links and dots in the wanted path are followed.
///
/// Throws Error(kInput) if something but an empty folder is there, and Error(kEnvironment) if no
/// folder can be made, or an empty one not be replaced, as a mount point cannot.
class StagedFolder {
 public:
  explicit StagedFolder(const std::string& wanted);
  ~StagedFolder();
  StagedFolder(const StagedFolder&) = delete;
  StagedFolder& operator=(const StagedFolder&) = delete;

  std::string file(const std::string& name) const { return (path_ / name).string(); }
  std::string path() const { return path_.string(); }

  /// Once, at the end: the folder is at its place when this returns. Error(kEnvironment).
  void commit();

 private:
  std::filesystem::path wanted_;
  std::filesystem::path path_;
};

}  // namespace radgpt
