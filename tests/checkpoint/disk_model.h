#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>

#include "libradgpt/base/files.h"
#include "libradgpt/base/random.h"

namespace radgpt {

/// What of a folder would be on the disk if the power failed now. POSIX promises the bytes of a
/// file after an fsync of it, and the names in a folder after an fsync of that; all else may be
/// there or not, in any order.
class DiskModel {
 public:
  enum class Loss {
    kEverything,  ///< nothing is there but what was made durable
    kBytes,       ///< all names are there, and of the bytes only durable ones
    kAnything,    ///< of what was not made durable, some is there: a name new or old, bytes in part
  };

  /// All that is in the folder now is durable.
  explicit DiskModel(std::string folder);

  /// To be called after every call that changes something; gives whether something has changed.
  bool look();
  /// An fsync of that file or folder, of which `look` has seen the last state.
  void make_durable(const std::string& path);
  /// Builds the folder in an empty place, as it would be after a power cut.
  void rebuild(const std::string& to, Loss loss, Random random) const;

 private:
  using Id = ino_t;
  struct Content {
    std::string bytes;                ///< of a file
    std::map<std::string, Id> names;  ///< in a folder
    bool operator==(const Content&) const = default;
  };
  struct Entry {
    bool is_folder = false;
    Content now;
    Content durable;
    FileDescriptor open;  ///< so that its number is not given to another file
  };

  Id see(const std::string& path);
  Content left_of(const Entry& entry, Loss loss, Random& random) const;
  void build(const std::string& to, Id id, Loss loss, Random& random) const;

  std::string folder_;
  std::map<Id, Entry> entries_;
  Id root_ = 0;
  bool changed_ = false;
};

}  // namespace radgpt
