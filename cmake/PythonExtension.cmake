# mlx.core: one extension module for the limited API of CPython 3.11+, so one wheel serves later ones.
#
# The build tree holds an importable package as well: PYTHONPATH=<build>/pkg.
file(GLOB cmlx_extension_sources CONFIGURE_DEPENDS python/ext/*.c)
if(NOT cmlx_extension_sources)
  return()
endif()
if(NOT Python_Development.Module_FOUND OR Python_VERSION VERSION_LESS 3.11)
  message(WARNING "mlx.core is not built: it needs the headers of Python 3.11 or later "
                  "(python3-dev); found Python ${Python_VERSION}")
  return()
endif()

# Wrappers and stub from ops/python.def; the headers tell which C functions exist.
file(GLOB cmlx_public_headers CONFIGURE_DEPENDS include/mlx/c/*.h)
set(cmlx_wrappers ${CMLX_GENERATED_DIR}/pycore.c)
add_custom_command(OUTPUT ${cmlx_wrappers} ${CMLX_GENERATED_DIR}/px_have.h ${CMLX_GENERATED_DIR}/core/__init__.pyi
  COMMAND ${Python_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/tools/pygen.py
          --def ${CMAKE_CURRENT_SOURCE_DIR}/ops/python.def --include ${CMAKE_CURRENT_SOURCE_DIR}/include
          --classes ${CMAKE_CURRENT_SOURCE_DIR}/python/ext/classes.pyi --out ${CMLX_GENERATED_DIR}
  DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/tools/pygen.py ${CMAKE_CURRENT_SOURCE_DIR}/ops/python.def
          ${CMAKE_CURRENT_SOURCE_DIR}/python/ext/classes.pyi ${cmlx_public_headers}
  COMMENT "pygen" VERBATIM)
list(APPEND CMLX_GENERATED_STUBS ${CMLX_GENERATED_DIR}/core) # the folder core/ lies beside the module, with stubs only

add_library(cmlx_core MODULE ${cmlx_extension_sources} ${cmlx_wrappers} ${CMLX_GENERATED_EXTENSION})
set(package_dir ${CMAKE_CURRENT_BINARY_DIR}/pkg/mlx)
set_target_properties(cmlx_core PROPERTIES PREFIX "" OUTPUT_NAME core SUFFIX .abi3.so
  LIBRARY_OUTPUT_DIRECTORY ${package_dir}
  BUILD_RPATH "\$ORIGIN/lib" BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH "\$ORIGIN/lib")
target_compile_options(cmlx_core PRIVATE ${CMLX_WARNINGS} ${CMLX_SANITIZE_FLAGS} -fno-strict-aliasing -fno-plt)
target_compile_definitions(cmlx_core PRIVATE Py_LIMITED_API=0x030B0000 _GNU_SOURCE
  CMLX_VERSION="${PROJECT_VERSION}" CMLX_MLX_VERSION="${CMLX_MLX_VERSION}")
target_include_directories(cmlx_core PRIVATE python/ext include src ops ${CMLX_GENERATED_DIR})
target_include_directories(cmlx_core SYSTEM PRIVATE ${Python_INCLUDE_DIRS})
target_link_libraries(cmlx_core PRIVATE cmlx ${CMAKE_DL_LIBS})
target_link_options(cmlx_core PRIVATE ${CMLX_SANITIZE_FLAGS} -Wl,--gc-sections $<$<CONFIG:Release>:-s>)
if(TARGET cmlx_opgen)
  add_dependencies(cmlx_core cmlx_opgen)
endif()

# The importable package of the build tree: links, so that editing a .py needs no build.
file(MAKE_DIRECTORY ${package_dir}/lib)
file(CREATE_LINK ${CMAKE_CURRENT_BINARY_DIR}/libcmlx.so ${package_dir}/lib/libcmlx.so SYMBOLIC)
file(GLOB cmlx_python_entries CONFIGURE_DEPENDS python/mlx/*)
foreach(entry IN LISTS cmlx_python_entries)
  get_filename_component(name ${entry} NAME)
  if(NOT name STREQUAL "__pycache__")
    file(CREATE_LINK ${entry} ${package_dir}/${name} SYMBOLIC)
  endif()
endforeach()
foreach(stub IN LISTS CMLX_GENERATED_STUBS)
  get_filename_component(name ${stub} NAME)
  file(CREATE_LINK ${stub} ${package_dir}/${name} SYMBOLIC)
endforeach()
