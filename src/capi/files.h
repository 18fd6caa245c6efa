/* What functions that save and load share (io.c). */
#ifndef MX_CAPI_FILES_H
#define MX_CAPI_FILES_H

#include "capi/handles.h"

int mx_need_stream(mlx_stream s, const char *tag);
/* The file's name with the ending that it must have, in a block of its own. */
int mx_full_name(char **name, const char *file, const char *ending, const char *tag);
/* The array evaluated and contiguous, a new reference: itself where it is so already. */
int mx_ready(mx_array **res, mx_array *a, bool allow_col_major);

#endif
