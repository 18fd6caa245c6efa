# Compiler flags: warnings, kernels, instruction sets, sanitizers.
set(CMLX_WARNINGS -Wall -Wextra)
if(CMLX_WERROR AND NOT CMLX_SANITIZE)   # sanitizers make compilers warn of what is not there
  list(APPEND CMLX_WARNINGS -Werror)
endif()

# Never -ffast-math: it breaks the rules for NaN, and its loop tails give other bits than its bodies.
# Released kernels have no tables for unwinding: half a megabyte, and nothing unwinds through them.
set(CMLX_KERNEL_FLAGS $<$<CONFIG:Release>:-fno-asynchronous-unwind-tables> -fwrapv -fno-math-errno -fno-trapping-math -ffp-contract=off $<$<NOT:$<CONFIG:Debug>>:-O3>)
add_compile_options(-ffunction-sections -fdata-sections -fno-semantic-interposition)

# Files in src/backend/cpu/isa are compiled once for each of these, with -DMX_ISA=<name>.
set(CMLX_ISAS base)
set(CMLX_ISA_FLAGS_base $<$<NOT:$<CONFIG:Debug>>:-O2>)   # for processors without AVX2: a third of the size
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$" AND CMAKE_SIZEOF_VOID_P EQUAL 8)
  list(APPEND CMLX_ISAS avx2 avx512)
  set(CMLX_ISA_FLAGS_avx2 -mavx2 -mfma -mf16c -mbmi2)
  set(CMLX_ISA_FLAGS_avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mf16c -mbmi2
      -mprefer-vector-width=512)
endif()

set(CMLX_SANITIZE_FLAGS "")
if(CMLX_SANITIZE STREQUAL "address")
  set(CMLX_SANITIZE_FLAGS -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
elseif(CMLX_SANITIZE STREQUAL "fuzzer")   # address, and what guides clang's fuzzer
  set(CMLX_SANITIZE_FLAGS -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all -fno-omit-frame-pointer)
elseif(CMLX_SANITIZE STREQUAL "thread")
  set(CMLX_SANITIZE_FLAGS -fsanitize=thread -fno-omit-frame-pointer)
elseif(CMLX_SANITIZE)
  message(FATAL_ERROR "CMLX_SANITIZE is '${CMLX_SANITIZE}', expected address, fuzzer or thread")
endif()
