# SPDX-License-Identifier: BSD-2-Clause
# bpf_skeleton(NAME SOURCE [DEFINES...])
#   Compiles SOURCE for the BPF target and makes NAME.skel.h from it. The library
#   target NAME_skeleton carries the include path (as a system path: generated
#   code does not follow our warnings).

find_program(TCPTRAIL_CLANG NAMES clang clang-19 clang-18 clang-17 clang-16 clang-15 clang-14 REQUIRED)
find_program(TCPTRAIL_LLVM_STRIP NAMES llvm-strip llvm-strip-19 llvm-strip-18 llvm-strip-17 llvm-strip-16 llvm-strip-15 llvm-strip-14 REQUIRED)
find_program(TCPTRAIL_BPFTOOL NAMES bpftool PATHS /usr/sbin /sbin REQUIRED)

# The names that bpf_tracing.h uses.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|amd64")
  set(TCPTRAIL_BPF_ARCH x86)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  set(TCPTRAIL_BPF_ARCH arm64)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "s390x")
  set(TCPTRAIL_BPF_ARCH s390)
else()
  set(TCPTRAIL_BPF_ARCH ${CMAKE_SYSTEM_PROCESSOR})
endif()

function(bpf_skeleton NAME SOURCE)
  set(dir ${CMAKE_CURRENT_BINARY_DIR}/skeleton)
  set(obj ${dir}/${NAME}.bpf.o)
  set(skel ${dir}/${NAME}.skel.h)
  file(MAKE_DIRECTORY ${dir})
  set(defines)
  foreach(define ${ARGN})
    list(APPEND defines -D${define})
  endforeach()
  # -mcpu=v3: 32-bit arithmetic without shift pairs; every kernel with a ring buffer runs it.
  # <asm/types.h> of Debian and Ubuntu hides in the multiarch directory.
  add_custom_command(
    OUTPUT ${obj}
    COMMAND ${TCPTRAIL_CLANG} -g -O2 -target bpf -mcpu=v3 -D__TARGET_ARCH_${TCPTRAIL_BPF_ARCH} ${defines}
            -Wall -Wextra -Wno-unused-parameter -Werror
            -I${PROJECT_SOURCE_DIR}/include -idirafter /usr/include/${CMAKE_LIBRARY_ARCHITECTURE}
            -MD -MT ${obj} -MF ${obj}.d -c ${CMAKE_CURRENT_SOURCE_DIR}/${SOURCE} -o ${obj}
    COMMAND ${TCPTRAIL_LLVM_STRIP} -g ${obj}
    DEPENDS ${SOURCE}
    DEPFILE ${obj}.d
    COMMENT "BPF object ${NAME}"
    VERBATIM)
  add_custom_command(
    OUTPUT ${skel}
    COMMAND ${CMAKE_COMMAND} -DBPFTOOL=${TCPTRAIL_BPFTOOL} -DOBJ=${obj} -DNAME=${NAME} -DOUT=${skel}
            -P ${PROJECT_SOURCE_DIR}/cmake/make_skeleton.cmake
    DEPENDS ${obj} ${PROJECT_SOURCE_DIR}/cmake/make_skeleton.cmake
    COMMENT "BPF skeleton ${NAME}"
    VERBATIM)
  add_custom_target(${NAME}_skeleton_header DEPENDS ${skel})
  add_library(${NAME}_skeleton INTERFACE)
  add_dependencies(${NAME}_skeleton ${NAME}_skeleton_header)
  target_include_directories(${NAME}_skeleton SYSTEM INTERFACE ${dir})
  # bpftool writes C; clang knows no _Bool in strict C++.
  target_compile_definitions(${NAME}_skeleton INTERFACE $<$<COMPILE_LANG_AND_ID:CXX,Clang>:_Bool=bool>)
endfunction()
