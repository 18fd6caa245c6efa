/* The little of JSON that the header of a .safetensors file needs: a cursor over text that need not end with a zero. */
#ifndef MX_IO_JSON_H
#define MX_IO_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mx_json {
  const char *at, *end;
} mx_json;

/* Skips white space and, if c is next, takes it. */
bool mx_json_take(mx_json *j, char c);
bool mx_json_take_word(mx_json *j, const char *word); /* true, false, null */
/* A string, decoded to UTF-8 in a block of its own; NULL when there is none or (with *memory set) no memory. */
char *mx_json_string(mx_json *j, bool *memory);
bool mx_json_u64(mx_json *j, uint64_t *v);            /* digits only, in range */
bool mx_json_skip(mx_json *j);                        /* any value, at most 64 deep */

/* Appends s as a JSON string to *text (n bytes used of cap), which grows. False without memory. */
typedef struct mx_text {
  char *at;
  size_t n, cap;
} mx_text;
bool mx_text_add(mx_text *t, const char *s, size_t n);
bool mx_text_add_json(mx_text *t, const char *s);

#endif
