# Compiler flags: warnings, kernels, instruction sets, sanitizers.
set(CMLX_WARNINGS -Wall -Wextra)
if(CMLX_WERROR AND NOT CMLX_SANITIZE)   # sanitizers make compilers warn of what is not there
  list(APPEND CMLX_WARNINGS -Werror)
endif()

# Never -ffast-math: it breaks the rules for NaN, and its loop tails give other bits than its bodies.
set(CMLX_KERNEL_FLAGS -fwrapv -fno-math-errno -fno-trapping-math -ffp-contract=off $<$<NOT:$<CONFIG:Debug>>:-O3>)
# A released library has no tables for unwinding, 0.4 MB: C has no exceptions, and a debugger wants the other builds.
add_compile_options(-ffunction-sections -fdata-sections -fno-semantic-interposition $<$<CONFIG:Release>:-fno-asynchronous-unwind-tables>)

# Files in src/backend/cpu/isa are compiled once for each of these, with -DMX_ISA=<name>.
set(CMLX_ISAS base)
set(CMLX_ISA_FLAGS_base "")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$" AND CMAKE_SIZEOF_VOID_P EQUAL 8)
  list(APPEND CMLX_ISAS avx2 avx512)
  set(CMLX_ISA_FLAGS_base $<$<NOT:$<CONFIG:Debug>>:-Os>)   # for processors of before 2013: a quarter of the size
  set(CMLX_ISA_FLAGS_avx2 -mavx2 -mfma -mf16c -mbmi2)
  set(CMLX_ISA_FLAGS_avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mf16c -mbmi2
      -mprefer-vector-width=512)
endif()

# Where the time goes elsewhere: into LAPACK, files, single elements, or whoever is called.
set(CMLX_SMALL "^src/(capi|io|nn|optim|dist)/|^src/transforms/(export|scan|while|cond|body|associative|jacobian|custom|checkpoint)|^src/runtime/profile|^src/backend/cpu/(lapack|lstm|batch_norm).c|capi_ops.c$")
set(CMLX_SMALL_FLAGS $<$<CONFIG:Release>:-Os>)

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
