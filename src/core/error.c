/* Errors, kept per thread. */
#include "core/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local int last_kind;
static _Thread_local char last_message[2048];

static const char *const python_names[MX_ERROR_KINDS] = {
    "None",
#define ERROR(kind, python) python,
#include "errors.def"
#undef ERROR
};

int mx_fail(int kind, const char *fmt, ...) {
  char text[sizeof last_message]; /* an argument may be the last message itself */
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  memcpy(last_message, text, sizeof text);
  last_kind = kind;
  return kind;
}

int mx_fail_memory(void) {
  strcpy(last_message, "[malloc] Unable to allocate memory.");
  return last_kind = MX_EMEMORY;
}

int mx_error_kind(void) { return last_kind; }
const char *mx_error_message(void) { return last_kind ? last_message : ""; }
void mx_error_clear(void) { last_kind = 0; }
const char *mx_error_python(int kind) { return kind >= 0 && kind < MX_ERROR_KINDS ? python_names[kind] : "RuntimeError"; }
