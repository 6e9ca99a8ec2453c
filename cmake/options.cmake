# SPDX-License-Identifier: BSD-2-Clause
# Compiler settings of our own targets, as the interface library tcptrail_flags.

option(TCPTRAIL_WERROR "Treat warnings as errors" OFF)
option(TCPTRAIL_STATIC "Link everything statically" OFF)
option(TCPTRAIL_BENCHMARKS "Build the benchmarks" OFF)
option(TCPTRAIL_TIDY "Run clang-tidy on each source file that is compiled" OFF)
set(TCPTRAIL_SANITIZE "" CACHE STRING "Sanitizers, as for -fsanitize=")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
find_program(TCPTRAIL_CCACHE NAMES ccache)
if(TCPTRAIL_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER ${TCPTRAIL_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${TCPTRAIL_CCACHE})
  set(CMAKE_DISABLE_PRECOMPILE_HEADERS ON) # ccache does not keep what was compiled with one
endif()
if(TCPTRAIL_TIDY)
  find_program(TCPTRAIL_CLANG_TIDY NAMES clang-tidy-14 clang-tidy REQUIRED)
  set(CMAKE_CXX_CLANG_TIDY ${TCPTRAIL_CLANG_TIDY} --quiet)
endif()
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

add_library(tcptrail_flags INTERFACE)
target_compile_options(tcptrail_flags INTERFACE -Wall -Wextra -Wconversion -Wsign-conversion -Wshadow)
if(TCPTRAIL_WERROR)
  target_compile_options(tcptrail_flags INTERFACE -Werror)
endif()
if(TCPTRAIL_SANITIZE)
  # What UBSan finds must fail a test, not only be printed.
  target_compile_options(tcptrail_flags INTERFACE -fsanitize=${TCPTRAIL_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(tcptrail_flags INTERFACE -fsanitize=${TCPTRAIL_SANITIZE})
  # g++ 12 sees ghosts in <regex> and <functional> once code is instrumented.
  target_compile_options(tcptrail_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
endif()
if(TCPTRAIL_STATIC)
  target_link_options(tcptrail_flags INTERFACE -static)
endif()
