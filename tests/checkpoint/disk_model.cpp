#include "tests/checkpoint/disk_model.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <utility>

#include "tests/catch.h"

namespace radgpt {

namespace fs = std::filesystem;

DiskModel::DiskModel(std::string folder) : folder_(std::move(folder)) {
  root_ = see(folder_);
  for (auto& [id, entry] : entries_) entry.durable = entry.now;
}

bool DiskModel::look() {
  changed_ = false;
  see(folder_);
  return changed_;
}

DiskModel::Id DiskModel::see(const std::string& path) {
  struct stat status {};
  REQUIRE(lstat(path.c_str(), &status) == 0);
  Entry& entry = entries_[status.st_ino];
  if (entry.open.get() < 0) {
    entry.open = FileDescriptor(open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    entry.is_folder = S_ISDIR(status.st_mode);
    changed_ = true;
  }
  Content content;
  if (entry.is_folder) {
    for (const auto& inside : fs::directory_iterator(path)) {
      content.names[inside.path().filename()] = see(inside.path());
    }
  } else {
    std::ifstream file(path, std::ios::binary);
    content.bytes = {std::istreambuf_iterator<char>(file), {}};
  }
  changed_ = changed_ || content != entry.now;
  entry.now = std::move(content);
  return status.st_ino;
}

void DiskModel::make_durable(const std::string& path) {
  struct stat status {};
  REQUIRE(stat(path.c_str(), &status) == 0);
  Entry& entry = entries_.at(status.st_ino);
  entry.durable = entry.now;
}

DiskModel::Content DiskModel::left_of(const Entry& entry, Loss loss, Random& random) const {
  if (loss == Loss::kEverything) return entry.durable;
  if (loss == Loss::kBytes) return entry.is_folder ? entry.now : entry.durable;
  if (!entry.is_folder) {
    if (entry.now == entry.durable || random.next_below(2) == 0) return entry.durable;
    const auto size = static_cast<uint32_t>(entry.now.bytes.size());
    return {entry.now.bytes.substr(0, random.next_below(size + 1)), {}};
  }
  // What lies in a folder has its old name or its new one, never both: a rename is one change.
  std::set<Id> inside;
  for (const auto* content : {&entry.durable, &entry.now}) {
    for (const auto& [name, id] : content->names) inside.insert(id);
  }
  Content left;
  for (const Id id : inside) {
    const Content& chosen = random.next_below(2) == 0 ? entry.durable : entry.now;
    for (const auto& [name, named] : chosen.names) {
      if (named == id) left.names[name] = id;
    }
  }
  return left;
}

void DiskModel::build(const std::string& to, Id id, Loss loss, Random& random) const {
  const Entry& entry = entries_.at(id);
  const Content left = left_of(entry, loss, random);
  if (!entry.is_folder) {
    std::ofstream(to, std::ios::binary) << left.bytes;
    return;
  }
  fs::create_directory(to);
  for (const auto& [name, inside] : left.names) build(to + "/" + name, inside, loss, random);
}

void DiskModel::rebuild(const std::string& to, Loss loss, Random random) const {
  build(to, root_, loss, random);
}

}  // namespace radgpt
