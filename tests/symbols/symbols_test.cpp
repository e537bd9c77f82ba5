#include <c10/util/Logging.h>
#include <dlfcn.h>

#include <string>

#include "libradgpt/base/version.h"
#include "tests/catch.h"

using namespace radgpt;

// sentencepiece and libc10 both have a variable of this name, and of different sizes. Were ours
// visible, one library would write over the other's memory as soon as both are loaded.
TEST_CASE("Symbols: FLAGS_minloglevel is libc10's and nobody else's") {
  REQUIRE_FALSE(version().empty());  // so that radgpt_core is loaded
  void* const flag = dlsym(RTLD_DEFAULT, "FLAGS_minloglevel");
  REQUIRE(flag != nullptr);
  Dl_info place;
  REQUIRE(dladdr(flag, &place) != 0);
  CHECK(std::string(place.dli_fname).ends_with("libc10.so"));
  CHECK(*static_cast<int*>(flag) >= 0);
}

// This function holds a mutex that lies where Debian's sentencepiece would write; then it never
// returns. Nobody has registered a handler, so there is none.
TEST_CASE("Symbols: LibTorch's event handlers answer with sentencepiece in the process") {
  REQUIRE_FALSE(version().empty());
  CHECK(c10::GetEventSampledHandler("radgpt.test") == nullptr);
}
