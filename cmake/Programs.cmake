# tests/c/<room>_test.c and examples/c/*.c: one program and one ctest each. A test named *_slow_test.c
# carries the label "slow".
find_path(CMOCKA_INCLUDE cmocka.h)
find_library(CMOCKA_LIBRARY cmocka)
file(GLOB cmlx_tests CONFIGURE_DEPENDS tests/c/*_test.c)
if(CMOCKA_INCLUDE AND CMOCKA_LIBRARY)
  foreach(source IN LISTS cmlx_tests)
    get_filename_component(name ${source} NAME_WE)
    add_executable(${name} ${source})
    target_compile_options(${name} PRIVATE ${CMLX_WARNINGS} ${CMLX_SANITIZE_FLAGS})
    target_include_directories(${name} PRIVATE tests/c)
    target_include_directories(${name} SYSTEM PRIVATE ${CMOCKA_INCLUDE})
    target_link_libraries(${name} PRIVATE $<LINK_LIBRARY:WHOLE_ARCHIVE,cmlx_testing> ${CMOCKA_LIBRARY})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/tests)
    add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
    set_tests_properties(${name} PROPERTIES TIMEOUT 120)
    if(name MATCHES "_slow_test$")
      set_tests_properties(${name} PROPERTIES LABELS slow TIMEOUT 600)
    endif()
    if(TARGET cmlx_opgen)
      add_dependencies(${name} cmlx_opgen)
    endif()
  endforeach()
elseif(cmlx_tests)
  message(STATUS "cmocka not found: the C tests are not built (libcmocka-dev)")
endif()

add_test(NAME headers COMMAND ${Python_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/tools/headers.py --cc ${CMAKE_C_COMPILER}
  WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/include/mlx/c/mlx.h)
  add_test(NAME layering COMMAND ${Python_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/tools/layering.py)
endif()

# Examples see what a user sees: the shared library and its public headers.
file(GLOB cmlx_examples CONFIGURE_DEPENDS examples/c/*.c)
foreach(source IN LISTS cmlx_examples)
  get_filename_component(name ${source} NAME_WE)
  add_executable(example_${name} ${source})
  target_compile_options(example_${name} PRIVATE ${CMLX_WARNINGS})
  target_link_libraries(example_${name} PRIVATE cmlx::cmlx m)
  target_link_options(example_${name} PRIVATE ${CMLX_SANITIZE_FLAGS})
  set_target_properties(example_${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/examples OUTPUT_NAME ${name})
  add_test(NAME example_${name} COMMAND example_${name})
  set_tests_properties(example_${name} PROPERTIES TIMEOUT 120)
endforeach()

# An installed cmlx, as others find it. A sanitized one needs its runtime in the consumer too, so not there.
if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/include/mlx/c/mlx.h AND NOT CMLX_SANITIZE)
  set(stage ${CMAKE_CURRENT_BINARY_DIR}/stage)
  add_test(NAME install COMMAND ${CMAKE_COMMAND} --install ${CMAKE_CURRENT_BINARY_DIR} --component c --prefix ${stage})
  add_test(NAME install_find_package COMMAND ${CMAKE_CTEST_COMMAND}
    --build-and-test ${CMAKE_CURRENT_SOURCE_DIR}/tests/install ${CMAKE_CURRENT_BINARY_DIR}/consumer
    --build-generator ${CMAKE_GENERATOR} --build-options -DCMAKE_PREFIX_PATH=${stage} --test-command consumer)
  add_test(NAME install_pkg_config COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/tests/install/pkgconfig.sh
    ${stage} ${CMAKE_CURRENT_BINARY_DIR}/consumer-pkgconfig)
  set_tests_properties(install PROPERTIES FIXTURES_SETUP stage)
  set_tests_properties(install_find_package install_pkg_config PROPERTIES FIXTURES_REQUIRED stage)
endif()
