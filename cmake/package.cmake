# SPDX-License-Identifier: BSD-2-Clause
# What a package holds beside what `cmake --install` of cmake/install.cmake holds, and how CPack makes one: `cpack -G DEB` in the
# build directory. Included by the top-level CMakeLists.txt after the program is known.

# Completions come from the program itself, so that they cannot be out of date. One that is built for another machine cannot run here.
if(NOT CMAKE_CROSSCOMPILING)
  set(completions)
  foreach(shell bash zsh fish)
    set(file ${PROJECT_BINARY_DIR}/completions/${shell})
    add_custom_command(OUTPUT ${file}
      COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/completions
      COMMAND tcptrail completion ${shell} > ${file}
      DEPENDS tcptrail COMMENT "Completion for ${shell}")
    list(APPEND completions ${file})
  endforeach()
  add_custom_target(completions ALL DEPENDS ${completions})
  # Debian's zsh looks into vendor-completions, the others' into site-functions.
  set(zsh_directory site-functions)
  if(EXISTS /etc/debian_version)
    set(zsh_directory vendor-completions)
  endif()
  install(FILES ${PROJECT_BINARY_DIR}/completions/bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME tcptrail)
  install(FILES ${PROJECT_BINARY_DIR}/completions/zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/${zsh_directory} RENAME _tcptrail)
  install(FILES ${PROJECT_BINARY_DIR}/completions/fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d RENAME tcptrail.fish)
endif()
install(FILES ${PROJECT_SOURCE_DIR}/packaging/tcptrail.service DESTINATION lib/systemd/system)
install(FILES ${PROJECT_SOURCE_DIR}/packaging/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(CPACK_PACKAGE_NAME tcptrail)
set(CPACK_PACKAGE_VENDOR "the tcptrail authors")
set(CPACK_PACKAGE_CONTACT "the tcptrail authors <tcptrail@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "TCP state-transition tracer")
set(CPACK_PACKAGE_DESCRIPTION
    "Shows every TCP connection of a machine with its owner, which side closed\nfirst, how it ended and who holds TIME_WAIT, and says what blocks a port\nand until when. Uses eBPF; needs Linux 5.8 or later with BTF.")
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_GENERATOR DEB)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON) # what it is linked with, by dpkg-shlibdeps
include(CPack)
