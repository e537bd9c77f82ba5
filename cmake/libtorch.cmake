# radgpt::libtorch, the part of LibTorch that we link, from the folder RADGPT_LIBTORCH.
#
# LibTorch's own package file insists on CUDA for the wheel's build of it; this target needs none
# and links libtorch_cuda only where it is there. -fopenmp is not linked but compiled with: the
# inline at::parallel_for is serial without it, and its run time is the one LibTorch carries.
if(NOT TARGET radgpt::libtorch)
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
endif()
