# The target `reference`: HTML of all public headers, in reference/ of the build folder.
radgpt_public_headers(libradgpt headers)
radgpt_public_headers(kernels kernel_headers)
list(APPEND headers ${kernel_headers} README.md recipes/README.md benchmarks/README.md
  CONTRIBUTING.md CHANGELOG.md docs/scaling.md)
list(TRANSFORM headers PREPEND "${PROJECT_SOURCE_DIR}/")
list(APPEND headers "${PROJECT_SOURCE_DIR}/docs/namespaces.dox"
  "${PROJECT_SOURCE_DIR}/docs/formats.dox"
  "${PROJECT_BINARY_DIR}/include/radgpt/version.h")
list(JOIN headers "\" \\\n                         \"" reference_input)
set(reference_input "\"${reference_input}\"")
configure_file(docs/Doxyfile.in reference.doxyfile @ONLY)
set(make_reference bash ${PROJECT_SOURCE_DIR}/docs/reference.sh
  ${PROJECT_BINARY_DIR}/reference.doxyfile ${PROJECT_BINARY_DIR}/reference)
find_program(DOXYGEN doxygen)
if(DOXYGEN)
  add_custom_target(reference COMMAND ${make_reference} VERBATIM)
endif()
