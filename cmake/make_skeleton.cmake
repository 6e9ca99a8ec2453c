# SPDX-License-Identifier: BSD-2-Clause
# Runs bpftool into a temporary file and renames it: a failed run leaves no half header.
execute_process(
  COMMAND ${BPFTOOL} gen skeleton ${OBJ} name ${NAME}
  OUTPUT_FILE ${OUT}.tmp
  ERROR_VARIABLE error
  RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  file(REMOVE ${OUT}.tmp)
  message(FATAL_ERROR "bpftool gen skeleton ${OBJ}: ${error}")
endif()
file(RENAME ${OUT}.tmp ${OUT})
