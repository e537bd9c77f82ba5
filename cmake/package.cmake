# What is installed beside libraries and executable: the package that find_package(radgpt) reads
# (targets radgpt::radgpt, radgpt::core and, from kernels/, radgpt::kernels), headers, licences, and what the library finds beside
# itself at run time (libradgpt/base/shipped_files.h).

include(cmake/public_headers.cmake)
set(package_folder "${CMAKE_INSTALL_LIBDIR}/cmake/radgpt")
configure_package_config_file(cmake/radgptConfig.cmake.in radgptConfig.cmake
  INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(radgptConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/radgptConfig.cmake" cmake/libtorch.cmake
  "${PROJECT_BINARY_DIR}/radgptConfigVersion.cmake" DESTINATION ${package_folder})
install(EXPORT radgpt NAMESPACE radgpt:: DESTINATION ${package_folder} FILE radgptTargets.cmake)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES "${sentencepiece}/LICENSE" DESTINATION ${CMAKE_INSTALL_DOCDIR}
  RENAME LICENSE.sentencepiece)
install(FILES "${PROJECT_BINARY_DIR}/include/radgpt/version.h"
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/radgpt/radgpt)
radgpt_install_public_headers(libradgpt)
# An installed copy finds LibTorch where it was built. `cmake --install … --component libtorch` puts
# LibTorch (0.5 GB) beside it, for a copy that is to be moved to another machine.
install(DIRECTORY "${RADGPT_LIBTORCH}/" DESTINATION ${CMAKE_INSTALL_LIBDIR}/libtorch
  COMPONENT libtorch EXCLUDE_FROM_ALL)

# Recipes and word lists; in the build folder links to them, so that one lookup serves both.
install(DIRECTORY recipes/ DESTINATION ${shipped_files}/recipes
  FILES_MATCHING PATTERN "*.yaml" PATTERN radgpt EXCLUDE)
install(FILES "${RADGPT_THIRD_PARTY}/jieba/dict.txt" "${RADGPT_THIRD_PARTY}/jieba/hmm.txt"
  DESTINATION ${shipped_files}/words OPTIONAL)
install(FILES docker/jieba_license.txt DESTINATION ${shipped_files}/words RENAME LICENSE)
file(MAKE_DIRECTORY "${PROJECT_BINARY_DIR}/${shipped_files}")
file(CREATE_LINK "${PROJECT_SOURCE_DIR}/recipes"
  "${PROJECT_BINARY_DIR}/${shipped_files}/recipes" SYMBOLIC)
file(CREATE_LINK "${RADGPT_THIRD_PARTY}/jieba"
  "${PROJECT_BINARY_DIR}/${shipped_files}/words" SYMBOLIC)
