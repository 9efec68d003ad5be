# Finds LibTorch: the targets LibTorch::CPU (headers as system headers, libtorch_cpu, libc10) and, where it is a CUDA
# build, LibTorch::CUDA (that and libtorch_cuda).
#
# Looks, in this order, at
#   1. -DLIBTORCH_DIR=...   a libtorch folder, or the torch folder inside a Python's site-packages;
#   2. the torch of the active Python, if it is 2.7 or newer and has the C++11 ABI;
#   3. the pinned torch that `make deps` keeps in the user's cache folder.
#
# Sets LibTorch_VERSION and LIBTORCH_DIR. LibTorch's own `find_package(Torch)` is not used: on a CUDA build it demands
# a CUDA toolkit, and a program that computes on the CPU needs two of its libraries only.

set(AMP_LIBTORCH_FLOOR 2.7.0)
set(AMP_LIBTORCH_PINNED 2.11.0)

# Why `dir` cannot be used, in `reason`; empty if it can. Its version in `version`.
function(amp_check_libtorch dir reason version)
  set(${reason} "" PARENT_SCOPE)
  if(NOT EXISTS "${dir}/lib/libtorch_cpu.so" OR NOT EXISTS "${dir}/include/ATen/core/Tensor.h")
    set(${reason} "it has no lib/libtorch_cpu.so and include/ATen" PARENT_SCOPE)
    return()
  endif()
  set(found "")
  if(EXISTS "${dir}/include/torch/headeronly/version.h")
    file(STRINGS "${dir}/include/torch/headeronly/version.h" lines REGEX "define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
  endif()
  if(NOT lines)
    file(STRINGS "${dir}/include/torch/csrc/api/include/torch/version.h" lines
         REGEX "define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
  endif()
  string(REGEX MATCHALL "[0-9]+" numbers "${lines}")
  list(JOIN numbers "." found)
  set(${version} "${found}" PARENT_SCOPE)
  if(found VERSION_LESS AMP_LIBTORCH_FLOOR)
    set(${reason} "it is ${found}, and Ampersand needs ${AMP_LIBTORCH_FLOOR} or newer" PARENT_SCOPE)
    return()
  endif()
  file(STRINGS "${dir}/lib/libc10.so" cxx11 REGEX "__cxx11" LIMIT_COUNT 1)
  if(NOT cxx11)
    set(${reason} "it was built without the C++11 ABI (_GLIBCXX_USE_CXX11_ABI=1)" PARENT_SCOPE)
  endif()
endfunction()

function(amp_find_python_torch result)
  set(${result} "" PARENT_SCOPE)
  find_program(AMP_PYTHON NAMES python3 python)
  mark_as_advanced(AMP_PYTHON)
  if(AMP_PYTHON)
    # find_spec, not import: the answer takes milliseconds and needs none of torch's own dependencies.
    execute_process(
      COMMAND "${AMP_PYTHON}" -c
              "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')"
      OUTPUT_VARIABLE dir ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
    set(${result} "${dir}" PARENT_SCOPE)
  endif()
endfunction()

function(amp_pinned_torch result)
  set(cache "$ENV{XDG_CACHE_HOME}")
  if(NOT cache)
    set(cache "$ENV{HOME}/.cache")
  endif()
  file(GLOB dirs "${cache}/ampersand/torch-${AMP_LIBTORCH_PINNED}/lib/python3*/site-packages/torch")
  set(${result} "${dirs}" PARENT_SCOPE)
endfunction()

set(AMP_LIBTORCH_REASONS "")
if(LIBTORCH_DIR)
  amp_check_libtorch("${LIBTORCH_DIR}" AMP_LIBTORCH_REASON LibTorch_VERSION)
  if(AMP_LIBTORCH_REASON)
    message(FATAL_ERROR "LIBTORCH_DIR=${LIBTORCH_DIR} cannot be used: ${AMP_LIBTORCH_REASON}.")
  endif()
else()
  amp_find_python_torch(AMP_PYTHON_TORCH)
  amp_pinned_torch(AMP_PINNED_TORCH)
  foreach(candidate IN LISTS AMP_PYTHON_TORCH AMP_PINNED_TORCH)
    amp_check_libtorch("${candidate}" AMP_LIBTORCH_REASON LibTorch_VERSION)
    if(NOT AMP_LIBTORCH_REASON)
      set(LIBTORCH_DIR "${candidate}")
      if(NOT CMAKE_SCRIPT_MODE_FILE)
        set(LIBTORCH_DIR "${candidate}" CACHE PATH "LibTorch's folder" FORCE)
      endif()
      break()
    endif()
    string(APPEND AMP_LIBTORCH_REASONS " ${candidate}: ${AMP_LIBTORCH_REASON}.")
  endforeach()
endif()

if(AMP_LIBTORCH_SEARCH_ONLY)
  return()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  LibTorch REQUIRED_VARS LIBTORCH_DIR VERSION_VAR LibTorch_VERSION
  REASON_FAILURE_MESSAGE "Run `make deps`, or pass -DLIBTORCH_DIR=FOLDER.${AMP_LIBTORCH_REASONS}")

if(LibTorch_FOUND AND NOT TARGET LibTorch::CPU)
  add_library(LibTorch::CPU INTERFACE IMPORTED)
  set_target_properties(
    LibTorch::CPU
    PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${LIBTORCH_DIR}/include;${LIBTORCH_DIR}/include/torch/csrc/api/include"
               INTERFACE_LINK_LIBRARIES "${LIBTORCH_DIR}/lib/libtorch_cpu.so;${LIBTORCH_DIR}/lib/libc10.so"
               INTERFACE_COMPILE_DEFINITIONS "_GLIBCXX_USE_CXX11_ABI=1")
endif()

# The CUDA part, for programs that compute on a GPU. Nothing names its symbols: it registers itself when it is loaded.
if(LibTorch_FOUND AND NOT TARGET LibTorch::CUDA AND EXISTS "${LIBTORCH_DIR}/lib/libtorch_cuda.so")
  add_library(LibTorch::CUDA INTERFACE IMPORTED)
  set_target_properties(
    LibTorch::CUDA
    PROPERTIES INTERFACE_LINK_LIBRARIES LibTorch::CPU
               INTERFACE_LINK_OPTIONS
               "LINKER:--push-state,--no-as-needed,--allow-shlib-undefined;${LIBTORCH_DIR}/lib/libtorch_cuda.so;LINKER:--pop-state;LINKER:-rpath,${LIBTORCH_DIR}/lib")
endif()
