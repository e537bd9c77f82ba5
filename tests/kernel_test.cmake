# Tests of kernels and of their executor, in the build of libradgpt and in that of kernels/ alone.
include_guard(GLOBAL)

if(NOT TARGET catch_main)
  include(${CMAKE_CURRENT_LIST_DIR}/catch_main.cmake)
endif()

# One executable NAME_test and its ctest entry NAME. Under ThreadSanitizer, a hundred times slower, it
# runs the test cases tagged [small] or [cuda].
function(radgpt_kernel_test name)
  add_executable(${name}_test ${ARGN})
  target_link_libraries(${name}_test PRIVATE radgpt_simt radgpt_kernels catch_main)
  # -Wrestrict: GCC 12 warns of its own std::string at -O3 (PR 105651).
  target_compile_options(${name}_test PRIVATE -Wall -Wextra -Wshadow -Werror -Wno-restrict)
  set_target_properties(${name}_test PROPERTIES CXX_EXTENSIONS OFF)
  set(cases)
  if(CMAKE_CXX_FLAGS MATCHES "-fsanitize=[a-z,]*thread")
    set(cases "[small],[cuda]")
  endif()
  add_test(NAME ${name} COMMAND ${name}_test ${cases})
  set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 900
    FAIL_REGULAR_EXPRESSION "No tests ran")
endfunction()
