# catch_main: Catch2 with a main function, version 2 or 3.
find_package(Catch2 REQUIRED)
if(TARGET Catch2::Catch2WithMain)
  add_library(catch_main INTERFACE)
  target_link_libraries(catch_main INTERFACE Catch2::Catch2WithMain)
else()
  add_library(catch_main STATIC ${CMAKE_CURRENT_LIST_DIR}/catch_main.cpp)
  target_link_libraries(catch_main PUBLIC Catch2::Catch2)
endif()
