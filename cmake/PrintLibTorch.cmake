# Prints the folder of a LibTorch that is already here and fits, or nothing: cmake -P cmake/PrintLibTorch.cmake
set(AMP_LIBTORCH_SEARCH_ONLY ON)
include("${CMAKE_CURRENT_LIST_DIR}/FindLibTorch.cmake")
if(LIBTORCH_DIR)
  execute_process(COMMAND "${CMAKE_COMMAND}" -E echo "${LIBTORCH_DIR}")
endif()
