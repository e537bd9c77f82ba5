# radgpt::libtorch, the part of LibTorch that we link, from the folder RADGPT_LIBTORCH.
#
# LibTorch's own package file insists on CUDA for the wheel's build of it; this target needs none
# and links libtorch_cuda only where it is there. -fopenmp is not linked but compiled with: the
# inline at::parallel_for is serial without it, and its run time is the one LibTorch carries.
function(radgpt_add_libtorch)
  if(TARGET radgpt::libtorch)
    return()
  endif()
  add_library(radgpt::libtorch INTERFACE IMPORTED)
  target_include_directories(radgpt::libtorch SYSTEM INTERFACE
    "${RADGPT_LIBTORCH}/include" "${RADGPT_LIBTORCH}/include/torch/csrc/api/include")
  target_compile_definitions(radgpt::libtorch INTERFACE _GLIBCXX_USE_CXX11_ABI=1)
  target_compile_options(radgpt::libtorch INTERFACE -fopenmp)
  target_link_libraries(radgpt::libtorch INTERFACE "${RADGPT_LIBTORCH}/lib/libtorch_cpu.so"
    "${RADGPT_LIBTORCH}/lib/libc10.so" "${RADGPT_LIBTORCH}/lib/libgomp.so.1")
  if(EXISTS "${RADGPT_LIBTORCH}/lib/libtorch_cuda.so")
    # Nothing refers to it by name: its operators register themselves when it is loaded.
    target_link_libraries(radgpt::libtorch INTERFACE -Wl,--push-state,--no-as-needed
      "${RADGPT_LIBTORCH}/lib/libtorch_cuda.so" "${RADGPT_LIBTORCH}/lib/libc10_cuda.so"
      -Wl,--pop-state)
  endif()
endfunction()

# Sets `result` to the version of the LibTorch in a folder as its headers give it, "2.11.0"; to
# "unknown" where they give none.
function(radgpt_libtorch_version folder result)
  set(${result} unknown PARENT_SCOPE)
  foreach(header IN ITEMS torch/headeronly/version.h torch/csrc/api/include/torch/version.h)
    if(EXISTS "${folder}/include/${header}")
      file(STRINGS "${folder}/include/${header}" lines
        REGEX "define TORCH_VERSION_(MAJOR|MINOR|PATCH) [0-9]")
      string(REGEX REPLACE "[^;0-9]+" "" numbers "${lines}")
      if(numbers)
        string(REPLACE ";" "." version "${numbers}")
        set(${result} "${version}" PARENT_SCOPE)
        return()
      endif()
    endif()
  endforeach()
endfunction()
