# Two layouts. `cmake --install` gives a C library (find_package, pkg-config); a wheel takes the component
# "python" alone: the package, with its one copy of the library inside.
set(wheel mlx)
install(TARGETS cmlx LIBRARY DESTINATION ${wheel}/lib COMPONENT python EXCLUDE_FROM_ALL)
install(DIRECTORY include/ DESTINATION ${wheel}/include COMPONENT python EXCLUDE_FROM_ALL)
install(DIRECTORY python/mlx/ DESTINATION ${wheel} COMPONENT python EXCLUDE_FROM_ALL
        PATTERN __pycache__ EXCLUDE PATTERN "*.pyc" EXCLUDE)
if(TARGET cmlx_core)
  install(TARGETS cmlx_core LIBRARY DESTINATION ${wheel} COMPONENT python EXCLUDE_FROM_ALL)
  if(CMLX_GENERATED_STUBS)
    install(DIRECTORY ${CMLX_GENERATED_STUBS} DESTINATION ${wheel} COMPONENT python EXCLUDE_FROM_ALL)
  endif()
endif()

set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/cmlx)
install(TARGETS cmlx EXPORT cmlxTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT c)
install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT c)
install(EXPORT cmlxTargets NAMESPACE cmlx:: FILE cmlxTargets.cmake DESTINATION ${config_dir} COMPONENT c)
configure_package_config_file(cmake/cmlxConfig.cmake.in cmlxConfig.cmake INSTALL_DESTINATION ${config_dir})
write_basic_package_version_file(cmlxConfigVersion.cmake COMPATIBILITY SameMinorVersion)
file(RELATIVE_PATH CMLX_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)   # so that the tree can be moved
configure_file(cmake/cmlx.pc.in cmlx.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/cmlxConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/cmlxConfigVersion.cmake
        DESTINATION ${config_dir} COMPONENT c)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/cmlx.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT c)
