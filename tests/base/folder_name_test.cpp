#include "libradgpt/base/folder_name.h"

#include <filesystem>

#include "tests/catch.h"

namespace radgpt {

TEST_CASE("Folder name: the last part, also behind a slash and for the working folder") {
  const std::filesystem::path here = std::filesystem::current_path();
  CHECK(folder_name("/a/b") == "b");
  CHECK(folder_name("/a/b//") == "b");
  CHECK(folder_name("a/b/.") == "b");
  CHECK(folder_name("a/b/..") == "a");
  CHECK(folder_name("b") == "b");
  CHECK(folder_name(".") == here.filename());
  CHECK(folder_name("..") == here.parent_path().filename());
  CHECK(folder_name("").empty());
  CHECK(folder_name("/").empty());
}

}  // namespace radgpt
