# SPDX-License-Identifier: Apache-2.0
# `cmake --install`, and the packages that `./dev package` makes of it: a .deb, and a .tar.gz that is unpacked anywhere.
include(GNUInstallDirs)
set(built ${CMAKE_BINARY_DIR}/package)

# The manual page and the completion come from the program itself, which knows its commands and flags.
add_custom_command(
  OUTPUT ${built}/tailgate.1.gz ${built}/tailgate
  COMMAND ${CMAKE_COMMAND} -E make_directory ${built}
  COMMAND sh -c "$<TARGET_FILE:tailgate> --man | gzip -9n >${built}/tailgate.1.gz"
  COMMAND sh -c "$<TARGET_FILE:tailgate> --completion >${built}/tailgate"
  COMMAND sh -c "gzip -9nc ${CMAKE_SOURCE_DIR}/CHANGELOG.md >${built}/changelog.gz"
  DEPENDS tailgate ${CMAKE_SOURCE_DIR}/CHANGELOG.md VERBATIM)
add_custom_target(package_files DEPENDS ${built}/tailgate.1.gz ${built}/tailgate)

# The unit of deploy/ runs a binary that somebody copied to /usr/local. The package has a user of its own, who can be
# given the right to read keys and certificates.
file(READ ${CMAKE_SOURCE_DIR}/deploy/tailgate.service unit)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/deploy/tailgate.service)
string(REPLACE "/usr/local/bin/" "/usr/bin/" unit "${unit}")
string(REPLACE "DynamicUser=yes" "User=tailgate\nGroup=tailgate" unit "${unit}")
file(GENERATE OUTPUT ${built}/tailgate.service CONTENT "${unit}")

install(TARGETS tailgate RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES ${built}/tailgate.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${built}/tailgate DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${built}/tailgate.service DESTINATION lib/systemd/system)
install(FILES config/tailgate.yaml DESTINATION /etc/tailgate)
install(FILES README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES ${built}/changelog.gz DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)
install(DIRECTORY docs config DESTINATION ${CMAKE_INSTALL_DOCDIR} PATTERN design EXCLUDE PATTERN "*.png" EXCLUDE)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME tailgate)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "The Tailgate developers <developers@tailgate.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "trace collector with tail-based sampling")
set(CPACK_PACKAGE_DESCRIPTION
    "Holds the spans of a trace together, decides when it is complete whether to keep it, by policies, and\nforwards whole kept traces to tracing backends. Takes OTLP, Jaeger and Zipkin.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_DIRECTORY ${built})
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL OFF)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "adduser, ca-certificates")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "librdkafka1")  # loaded when a kafka exporter starts
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_LIST_DIR}/conffiles;${CMAKE_CURRENT_LIST_DIR}/postinst;${CMAKE_CURRENT_LIST_DIR}/prerm;${CMAKE_CURRENT_LIST_DIR}/postrm)
include(CPack)
