# One call a target of tools/opgen.py, with the files it writes (see Opgen.cmake):
cmlx_opgen(capi LIBRARY capi_ops.c)
cmlx_opgen(calls HEADERS capi_calls.inc.h)
