# `cmake --install` lays out a C library (find_package, pkg-config); a wheel build (SKBUILD) lays out
# the Python package instead, with its one copy of the library inside.
if(SKBUILD)
  set(package mlx)
  install(TARGETS cmlx LIBRARY DESTINATION ${package}/lib COMPONENT python)
  install(DIRECTORY include/ DESTINATION ${package}/include COMPONENT python)
  install(DIRECTORY python/mlx/ DESTINATION ${package} COMPONENT python
          PATTERN __pycache__ EXCLUDE PATTERN "*.pyc" EXCLUDE)
  if(TARGET cmlx_core)
    install(TARGETS cmlx_core LIBRARY DESTINATION ${package} COMPONENT python)
    if(CMLX_GENERATED_STUBS)
      install(FILES ${CMLX_GENERATED_STUBS} DESTINATION ${package} COMPONENT python)
    endif()
  endif()
  return()
endif()

set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/cmlx)
install(TARGETS cmlx EXPORT cmlxTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT cmlxTargets NAMESPACE cmlx:: FILE cmlxTargets.cmake DESTINATION ${config_dir})
configure_package_config_file(cmake/cmlxConfig.cmake.in cmlxConfig.cmake INSTALL_DESTINATION ${config_dir})
write_basic_package_version_file(cmlxConfigVersion.cmake COMPATIBILITY SameMinorVersion)
file(RELATIVE_PATH CMLX_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)   # so that the tree can be moved
configure_file(cmake/cmlx.pc.in cmlx.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/cmlxConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/cmlxConfigVersion.cmake
        DESTINATION ${config_dir})
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/cmlx.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
