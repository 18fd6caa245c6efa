/* Graphs as text: for Graphviz, and an operation a line. A tuple node is one box whose picks are its results. The walk is
 * iterative and keeps its own marks: the runtime's belong to the graph lock. */
#include "mlx/c/graph_utils.h"

#include <string.h>

#include "capi/handles.h"

/* ---- pointers to words: open addressing, at most half full ---- */

typedef struct table {
  const void **key;
  void **value;
  size_t n, slots;
} table;

static size_t slot_of(const table *t, const void *key) {
  size_t i = ((uintptr_t)key >> 4) * 0x9e3779b97f4a7c15u & (t->slots - 1);
  while (t->key[i] && t->key[i] != key) i = (i + 1) & (t->slots - 1);
  return i;
}

static void table_free(table *t) {
  mx_free(t->key);
  mx_free(t->value);
  *t = (table){0};
}

static int table_grow(table *t) {
  table big = {.slots = t->slots ? t->slots * 2 : 64, .n = t->n};
  big.key = mx_calloc(big.slots, sizeof *big.key);
  big.value = mx_calloc(big.slots, sizeof *big.value);
  if (!big.key || !big.value) {
    table_free(&big);
    return mx_fail_memory();
  }
  for (size_t i = 0; i < t->slots; i++)
    if (t->key[i]) {
      size_t at = slot_of(&big, t->key[i]);
      big.key[at] = t->key[i];
      big.value[at] = t->value[i];
    }
  table_free(t);
  *t = big;
  return 0;
}

/* The value of key, made with NULL if it is new; NULL and an error without memory. */
static void **entry(table *t, const void *key) {
  if (t->n * 2 >= t->slots && table_grow(t)) return NULL;
  size_t i = slot_of(t, key);
  if (!t->key[i]) {
    t->key[i] = key;
    t->n++;
  }
  return &t->value[i];
}

/* ---- names ---- */

typedef struct namer {
  table names; /* mx_array * -> text */
  int made;    /* how many names were made up */
} namer;

mlx_node_namer mlx_node_namer_new() {
  mlx_node_namer n = {mx_calloc(1, sizeof(namer))};
  if (!n.ctx) {
    mx_fail_memory();
    MX_REPORT();
  }
  return n;
}

int mlx_node_namer_free(mlx_node_namer handle) {
  namer *n = handle.ctx;
  for (size_t i = 0; n && i < n->names.slots; i++) mx_free(n->names.value[i]);
  if (n) table_free(&n->names);
  mx_free(n);
  return 0;
}

static int set_name(namer *n, const mx_array *a, const char *name) {
  void **e = entry(&n->names, a);
  char *copy = e ? mx_strdup(name) : NULL;
  if (!copy) return mx_fail_memory();
  mx_free(*e);
  *e = copy;
  return 0;
}

/* A, B, ... Z, AA, AB, ... */
static const char *name_of(namer *n, const mx_array *a) {
  void **e = entry(&n->names, a);
  char text[16], *p = text + sizeof text - 1;
  if (!e) return NULL;
  if (*e) return *e;
  *p = 0;
  for (int i = n->made++; i >= 0; i = i / 26 - 1) *--p = (char)('A' + i % 26);
  return set_name(n, a, p) ? NULL : *entry(&n->names, a);
}

int mlx_node_namer_set_name(mlx_node_namer handle, const mlx_array arr, const char *name) {
  mx_array *a = mx_array_of(arr);
  if (!handle.ctx || !a || !name) return MX_REFUSE(MX_EVALUE, "[node_namer] empty handle or NULL name given");
  return MX_STATUS(set_name(handle.ctx, a, name));
}

int mlx_node_namer_get_name(const char **name, mlx_node_namer handle, const mlx_array arr) {
  mx_array *a = mx_array_of(arr);
  if (!handle.ctx || !a || !name) return MX_REFUSE(MX_EVALUE, "[node_namer] empty handle or no place for the result given");
  *name = name_of(handle.ctx, a);
  return *name ? 0 : MX_REPORT();
}

/* ---- the nodes behind some outputs, inputs first ---- */

typedef struct walk {
  table seen; /* array -> itself */
  mx_array **order;
  size_t n, cap;
  struct { mx_array *node; int next; } *stack;
  size_t depth, room;
} walk;

static bool grow(void **at, size_t *cap, size_t size) {
  size_t more = *cap ? *cap * 2 : 64;
  void *p = mx_realloc(*at, more * size);
  if (!p) return false;
  *at = p;
  *cap = more;
  return true;
}

static int enter(walk *w, mx_array *a) {
  void **seen = entry(&w->seen, a);
  if (!seen) return mx_fail_memory();
  if (*seen) return 0;
  if (mx_open_call(a)) return MX_EMEMORY;
  if (w->depth == w->room && !grow((void **)&w->stack, &w->room, sizeof *w->stack)) return mx_fail_memory();
  *seen = a;
  w->stack[w->depth].node = a;
  w->stack[w->depth++].next = 0;
  return 0;
}

static int walk_from(walk *w, const mx_list *outputs) {
  for (int i = 0; i < outputs->n; i++) {
    if (enter(w, outputs->at[i])) return MX_EMEMORY;
    while (w->depth) {
      mx_array *a = w->stack[w->depth - 1].node;
      int next = w->stack[w->depth - 1].next++;
      if (next < a->nin) {
        if (a->in[next] && enter(w, a->in[next])) return MX_EMEMORY;
        continue;
      }
      w->depth--;
      if (w->n == w->cap && !grow((void **)&w->order, &w->cap, sizeof *w->order)) return mx_fail_memory();
      w->order[w->n++] = a;
    }
  }
  return 0;
}

static bool is_leaf(const mx_array *a) { return !a->nin || a->op == OP_none; }
static bool is_output(const mx_list *outputs, const mx_array *a) {
  for (int i = 0; i < outputs->n; i++)
    if (outputs->at[i] == a) return true;
  return false;
}
/* The node that computes a value: of a pick its tuple. */
static const mx_array *maker(const mx_array *a) { return a->op == OP_pick && a->nin ? a->in[0] : a; }

/* Text in quotes, for Graphviz. */
static void put_quoted(FILE *os, const char *s) {
  fputc('"', os);
  for (; *s; s++) {
    if (*s == '"' || *s == '\\') fputc('\\', os);
    fputc(*s, os);
  }
  fputc('"', os);
}

static int write_dot(FILE *os, namer *n, const walk *w, const mx_list *outputs) {
  fputs("digraph {\n", os);
  for (size_t k = 0; k < w->n; k++) {
    const mx_array *a = w->order[k];
    bool leaf = is_leaf(a);
    if (!leaf && a->op != OP_pick) {
      char room[MX_LABEL_ROOM];
      fprintf(os, "{ %zu [label =", (size_t)(uintptr_t)a);
      put_quoted(os, mx_label(a, room));
      fputs(", shape=rectangle]; }\n", os);
      for (int i = 0; i < a->nin; i++) {
        const char *name = name_of(n, a->in[i]);
        if (!name) return mx_error_kind();
        put_quoted(os, name);
        fprintf(os, " -> %zu\n", (size_t)(uintptr_t)a);
      }
    }
    if (a->outs) continue; /* a tuple is no value */
    const char *name = name_of(n, a);
    if (!name) return mx_error_kind();
    fputs(is_output(outputs, a) ? "{ rank=sink; " : leaf ? "{ rank=source; " : "{ ", os);
    put_quoted(os, name);
    fputs("; }\n", os);
    if (leaf) continue;
    fprintf(os, "%zu -> ", (size_t)(uintptr_t)maker(a));
    put_quoted(os, name);
    fputc('\n', os);
  }
  fputs("}\n", os);
  return 0;
}

static void put_value(FILE *os, const char *name, const mx_array *a) {
  fprintf(os, "%s %s %s", name, mx_dtype_name(a->dtype), mx_shape_of(a));
}

static int write_lines(FILE *os, namer *n, const walk *w, const mx_list *outputs) {
  for (size_t k = 0; k < w->n; k++) {
    const mx_array *a = w->order[k], *m = maker(a);
    if (a->outs) continue;
    const char *name = name_of(n, a);
    if (!name) return mx_error_kind();
    if (is_leaf(a)) {
      fputs("Input ", os);
      put_value(os, name, a);
    } else {
      char room[MX_LABEL_ROOM];
      fputs(mx_label(m, room), os);
      for (int i = 0; i < m->nin; i++) {
        const char *from = name_of(n, m->in[i]);
        if (!from) return mx_error_kind();
        fprintf(os, "%s %s", i ? "," : "", from);
      }
      fputs(" -> ", os);
      put_value(os, name, a);
    }
    fputs(is_output(outputs, a) ? "  (output)\n" : "\n", os);
  }
  return 0;
}

static int write_graph(FILE *os, mlx_node_namer handle, mlx_vector_array outputs, const char *tag,
                       int (*write)(FILE *, namer *, const walk *, const mx_list *)) {
  const mx_list *out;
  walk w = {0};
  int rc = mx_need_list(&out, outputs, tag, "outputs");
  if (!rc && (!os || !handle.ctx)) rc = mx_fail(MX_EVALUE, "[%s] no file or an empty namer given", tag);
  if (!rc) rc = walk_from(&w, out);
  if (!rc) rc = write(os, handle.ctx, &w, out);
  if (!rc && ferror(os)) rc = mx_fail(MX_ERUNTIME, "[%s] the file cannot be written", tag);
  table_free(&w.seen);
  mx_free(w.order);
  mx_free(w.stack);
  return MX_STATUS(rc);
}

int mlx_export_to_dot(FILE *os, const mlx_node_namer namer, const mlx_vector_array outputs) {
  return write_graph(os, namer, outputs, "export_to_dot", write_dot);
}

int mlx_print_graph(FILE *os, const mlx_node_namer namer, const mlx_vector_array outputs) {
  return write_graph(os, namer, outputs, "print_graph", write_lines);
}
