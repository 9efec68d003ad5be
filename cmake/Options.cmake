# What every target of ours is compiled with. Others' headers are system headers and exempt.
add_library(amp_options INTERFACE)
target_compile_options(amp_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor)
if(AMP_WERROR)
  target_compile_options(amp_options INTERFACE -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(amp_options INTERFACE -Wno-restrict)  # GCC 12 sees overlaps in std::string that are none
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 13)
  # GCC 13 sees std::vector<bool> of LibTorch's autograd::Function write past its end.
  target_compile_options(amp_options INTERFACE -Wno-array-bounds)
endif()
if(AMP_UNITY AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # A file's own class may hold what the file alone knows; among others GCC takes the file for a header.
  target_compile_options(amp_options INTERFACE -Wno-subobject-linkage)
endif()
target_include_directories(amp_options INTERFACE "${PROJECT_SOURCE_DIR}")
if(AMP_SANITIZE STREQUAL "address")
  target_compile_options(amp_options INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=undefined
                                               -fno-omit-frame-pointer)
  target_link_options(amp_options INTERFACE -fsanitize=address,undefined)
  # LibTorch is not instrumented: its own vptr checks would only see half of each type.
  target_compile_options(amp_options INTERFACE -fno-sanitize=vptr)
elseif(AMP_SANITIZE STREQUAL "thread")
  target_compile_options(amp_options INTERFACE -fsanitize=thread -fno-omit-frame-pointer)
  target_link_options(amp_options INTERFACE -fsanitize=thread)
elseif(AMP_SANITIZE)
  message(FATAL_ERROR "AMP_SANITIZE is address, thread or empty, not ${AMP_SANITIZE}")
endif()
if(AMP_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC 12 cannot follow std::optional and std::regex through the sanitizers' checks.
  target_compile_options(amp_options INTERFACE -Wno-maybe-uninitialized)
endif()
