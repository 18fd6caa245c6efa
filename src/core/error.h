/* Errors: a function that can fail returns 0 or the kind of its error; the message is kept per thread. */
#ifndef MX_CORE_ERROR_H
#define MX_CORE_ERROR_H

enum mx_error_kind {
  MX_OK = 0,
#define ERROR(kind, python) MX_##kind,
#include "errors.def"
#undef ERROR
  MX_ERROR_KINDS
};

/* Records kind and message for this thread and returns kind. */
int mx_fail(int kind, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Out of memory; needs no memory itself. */
int mx_fail_memory(void);
/* Adds to the message of the last error by which input of a differentiated function it was reached; gives the kind. A face that has names for
 * inputs asks which it was (-1: none) and gives its name instead. */
int mx_error_reached_from(int input);
int mx_error_input(void);
void mx_error_name_input(const char *name);
/* The last error of this thread; kind 0 and "" when there was none since mx_error_clear. */
int mx_error_kind(void);
const char *mx_error_message(void);
void mx_error_clear(void);
/* The name of the Python exception that a kind becomes. */
const char *mx_error_python(int kind);

#endif
