/* Errors, kept per thread. */
#include "core/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local int last_kind;
static _Thread_local char last_message[2048];
static _Thread_local int input = -1;  /* by which the last error was reached */
static _Thread_local size_t input_at; /* where the message tells it */

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
  input = -1;
  return kind;
}

void mx_error_name_input(const char *name) {
  snprintf(last_message + input_at, sizeof last_message - input_at, " (differentiated with respect to %s)", name);
}

int mx_error_reached_from(int i) {
  char name[32];
  if (!last_kind || input >= 0) return last_kind;
  snprintf(name, sizeof name, "input %d", input = i);
  input_at = strlen(last_message);
  mx_error_name_input(name);
  return last_kind;
}

int mx_error_input(void) { return last_kind ? input : -1; }

int mx_fail_memory(void) {
  strcpy(last_message, "[malloc] Unable to allocate memory.");
  input = -1;
  return last_kind = MX_EMEMORY;
}

int mx_error_kind(void) { return last_kind; }
const char *mx_error_message(void) { return last_kind ? last_message : ""; }
void mx_error_clear(void) { last_kind = 0; }
const char *mx_error_python(int kind) { return kind >= 0 && kind < MX_ERROR_KINDS ? python_names[kind] : "RuntimeError"; }
