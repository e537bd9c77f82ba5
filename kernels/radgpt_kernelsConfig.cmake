# find_package(radgpt_kernels): the target radgpt::kernels.
include(CMakeFindDependencyMacro)
find_dependency(Threads)
include("${CMAKE_CURRENT_LIST_DIR}/radgpt_kernelsTargets.cmake")
