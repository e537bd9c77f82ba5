#include "libradgpt/base/folders.h"

#include <sys/stat.h>

#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "libradgpt/base/error.h"
#include "tests/base/temporary_folder.h"
#include "tests/base/without_privileges.h"
#include "tests/catch.h"

namespace radgpt {
namespace {

namespace fs = std::filesystem;

template <typename Action>
std::string refusal(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kEnvironment);
    return error.what();
  }
  return "accepted";
}

TEST_CASE("Folders: entries are listed by name, whatever they are") {
  const TemporaryFolder folder;
  folder.write("b", "");
  folder.write(".a", "");
  fs::create_directory(folder.file("c"));
  fs::create_symlink("nowhere", folder.file("d"));
  CHECK(list_folder(folder.path()) == std::vector<std::string>{".a", "b", "c", "d"});
  CHECK(entry_exists(folder.file("d")));
  CHECK_FALSE(entry_exists(folder.file("e")));
  CHECK_FALSE(entry_exists(folder.file("b/under")));
  CHECK(refusal([&] { list_folder(folder.file("e")); }) ==
        folder.file("e") + ": cannot be listed: No such file or directory");
}

TEST_CASE("Folders: they are made for their owner alone, with those above them") {
  const TemporaryFolder folder;
  make_folders(folder.file("a/b/"));
  make_folders(folder.file("a/b/../c/d"));
  for (const std::string name : {"a", "a/b", "a/c/d"}) {
    struct stat status {};
    REQUIRE(stat(folder.file(name).c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0700);
  }
  make_folders(folder.file("a/b"));
  CHECK(refusal([&] { make_folder(folder.file("a")); }) ==
        folder.file("a") + ": cannot be made: File exists");
  folder.write("file", "");
  CHECK(refusal([&] { make_folders(folder.file("file/a")); }) ==
        folder.file("file/a") + ": cannot be made: Not a directory");
}

TEST_CASE("Folders: two entries change their names") {
  const TemporaryFolder folder;
  folder.write("a", "first");
  make_folders(folder.file("b/inside"));
  if (!exchange_entries(folder.file("a"), folder.file("b"))) {
    std::cout << "skipped: the file system cannot exchange names\n";
    return;
  }
  CHECK(folder.read("b") == "first");
  CHECK(entry_exists(folder.file("a/inside")));
  CHECK(refusal([&] { exchange_entries(folder.file("a"), folder.file("c")); }) ==
        folder.file("a") + ": cannot be exchanged with " + folder.file("c") +
            ": No such file or directory");
}

TEST_CASE("Folders: a removal takes links and leaves what they lead to") {
  const TemporaryFolder folder;
  folder.write("outside", "kept");
  make_folders(folder.file("kept"));
  folder.write("kept/file", "kept");
  make_folders(folder.file("gone/deep"));
  fs::create_symlink(folder.file("kept"), folder.file("gone/deep/link"));
  fs::create_symlink(folder.file("outside"), folder.file("gone/link"));
  fs::create_symlink(folder.file("kept"), folder.file("link"));
  remove_tree(folder.file("gone"));
  remove_tree(folder.file("link"));
  remove_tree(folder.file("nothing"));
  CHECK(list_folder(folder.path()) == std::vector<std::string>{"kept", "outside"});
  CHECK(folder.read("kept/file") == "kept");
}

TEST_CASE("Folders: a removal or a new name that is not allowed is an Error") {
  const TemporaryFolder folder;
  make_folders(folder.file("fixed/inside"));
  chmod(folder.file("fixed").c_str(), 0555);
  {
    const WithoutPrivileges guard;
    CHECK(refusal([&] { remove_tree(folder.file("fixed/inside")); }) ==
          folder.file("fixed/inside") + ": cannot be removed: Permission denied");
  }
  chmod(folder.file("fixed").c_str(), 0700);
  CHECK(refusal([&] { rename_entry(folder.file("a"), folder.file("b")); }) ==
        folder.file("a") + ": cannot be renamed to " + folder.file("b") +
            ": No such file or directory");
  rename_entry(folder.file("fixed"), folder.file("moved"));
  CHECK(list_folder(folder.path()) == std::vector<std::string>{"moved"});
}

}  // namespace
}  // namespace radgpt
