# What tools/opgen.py writes from the tables in ops/, into <build>/generated (on every include path).
#
#   cmlx_opgen(<target> [LIBRARY|EXTENSION|STUBS] <file>...)
#
# runs `python3 tools/opgen.py --ops ops --out <build>/generated <target>` when a table or a script
# changed. Files ending in .c after LIBRARY are compiled into libcmlx.so, after EXTENSION into
# mlx.core; files after STUBS are installed beside the extension.
set(CMLX_GENERATED_DIR ${CMAKE_CURRENT_BINARY_DIR}/generated)
set(CMLX_GENERATED_LIBRARY "")
set(CMLX_GENERATED_EXTENSION "")
set(CMLX_GENERATED_STUBS "")
file(MAKE_DIRECTORY ${CMLX_GENERATED_DIR})
find_package(Python 3.9 REQUIRED COMPONENTS Interpreter OPTIONAL_COMPONENTS Development.Module)
file(GLOB cmlx_tables CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/ops/*.def)
file(GLOB cmlx_tools CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/tools/*gen*.py)
set(cmlx_generated_all "")

function(cmlx_opgen target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LIBRARY;EXTENSION;STUBS;HEADERS")
  set(outputs "")
  foreach(kind LIBRARY EXTENSION STUBS HEADERS)
    list(TRANSFORM arg_${kind} PREPEND ${CMLX_GENERATED_DIR}/)
    list(APPEND outputs ${arg_${kind}})
  endforeach()
  add_custom_command(OUTPUT ${outputs}
    COMMAND ${Python_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/tools/opgen.py
            --ops ${CMAKE_CURRENT_SOURCE_DIR}/ops --out ${CMLX_GENERATED_DIR} ${target}
    DEPENDS ${cmlx_tables} ${cmlx_tools}
    COMMENT "opgen ${target}" VERBATIM)
  foreach(kind LIBRARY EXTENSION)
    set(sources ${arg_${kind}})
    list(FILTER sources INCLUDE REGEX "\\.c$")
    set(CMLX_GENERATED_${kind} ${CMLX_GENERATED_${kind}} ${sources} PARENT_SCOPE)
  endforeach()
  set(CMLX_GENERATED_STUBS ${CMLX_GENERATED_STUBS} ${arg_STUBS} PARENT_SCOPE)
  set(cmlx_generated_all ${cmlx_generated_all} ${outputs} PARENT_SCOPE)
endfunction()

if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/tools/opgen.py)
  include(OpgenTargets)
  if(cmlx_generated_all)
    add_custom_target(cmlx_opgen DEPENDS ${cmlx_generated_all})
  endif()
endif()
