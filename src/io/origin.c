/* Where a loaded array came from: the name of a file, which its arrays share as their counted companion. */
#include <string.h>

#include "core/alloc.h"
#include "core/error.h"
#include "io/io.h"

typedef struct origin {
  mx_object base;
  char name[];
} origin;

static void destroy(mx_object *o) { mx_free(o); }

mx_object *mx_origin_new(const char *name) {
  size_t n = strlen(name) + 1;
  origin *o = mx_malloc(sizeof *o + n);
  if (!o) {
    mx_fail_memory();
    return NULL;
  }
  o->base = (mx_object){1, destroy};
  memcpy(o->name, name, n);
  return &o->base;
}

void mx_origin_mark(mx_array *a, mx_object *o) {
  if (!a->object) a->object = mx_object_retain(o);
}

const char *mx_origin_of(const mx_array *a) {
  return a->object && a->object->destroy == destroy ? ((const origin *)a->object)->name : NULL;
}
