# SPDX-License-Identifier: BSD-2-Clause
# What is installed beside the program. Needs GNUInstallDirs; included by the
# top-level CMakeLists.txt.

install(FILES ${PROJECT_SOURCE_DIR}/docs/tcptrail.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
install(FILES ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/CHANGELOG.md ${PROJECT_SOURCE_DIR}/LICENSE
        DESTINATION ${CMAKE_INSTALL_DOCDIR})
# json.md and troubleshooting.md, which the man page names, and the rest.
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md")
