/* Modules as text: the tree as Python prints it, and the table of its parameters. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "nn/module.h"

typedef struct text {
  char *at;
  size_t n, cap;
  int rc;
} text;

static void add(text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(text *t, const char *fmt, ...) {
  for (int round = 0; round < 2 && !t->rc; round++) {
    va_list ap;
    va_start(ap, fmt);
    int more = vsnprintf(t->at ? t->at + t->n : NULL, t->cap - t->n, fmt, ap);
    va_end(ap);
    if (more < 0) return;
    if (t->n + (size_t)more < t->cap) {
      t->n += (size_t)more;
      return;
    }
    size_t cap = 2 * (t->n + (size_t)more) + 64;
    char *at = mx_realloc(t->at, cap);
    if (!at)
      t->rc = mx_fail_memory();
    else
      t->at = at, t->cap = cap;
  }
}

static char *finished(text *t, int rc) {
  if (!rc) rc = t->rc;
  if (!rc) return t->at;
  mx_free(t->at);
  return NULL;
}

/* ---- the tree ---- */

static int print(text *t, const mx_module *m, int depth) {
  if (depth > MX_MODULE_DEPTH) return mx_fail(MX_EVALUE, "[module] modules are nested more than %d deep", MX_MODULE_DEPTH);
  char inside[256] = "";
  if (m->layer && m->layer->describe) m->layer->describe(m, inside, sizeof inside);
  add(t, "%s(%s", mx_module_type(m), inside);
  int rc = 0;
  bool any = false;
  for (int i = 0; i < m->n && !rc; i++) {
    if (!m->members[i].module) continue;
    add(t, "\n%*s(%s): ", 2 * (depth + 1), "", m->members[i].name);
    rc = print(t, m->members[i].module, depth + 1);
    any = true;
  }
  if (any)
    add(t, "\n%*s)", 2 * depth, "");
  else
    add(t, ")");
  return rc ? rc : t->rc;
}

char *mx_module_text(mx_module *m) {
  text t = {0};
  return finished(&t, print(&t, m, 0));
}

/* ---- the table ---- */

/* "1234567" as "1,234,567". */
static const char *grouped(char to[32], size_t v) {
  char digits[24];
  int n = snprintf(digits, sizeof digits, "%zu", v), at = 0;
  for (int i = 0; i < n; i++) {
    if (i && (n - i) % 3 == 0) to[at++] = ',';
    to[at++] = digits[i];
  }
  to[at] = 0;
  return to;
}

static const char *bytes_text(char to[32], size_t v) {
  static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
  double x = (double)v;
  int u = 0;
  while (x >= 1024 && u < 4) x /= 1024, u++;
  snprintf(to, 32, u ? "%.1f %s" : "%.0f %s", x, units[u]);
  return to;
}

typedef struct table {
  text t;
  bool measure; /* the widths, before the rows */
  int path_width, type_width, shape_width;
  size_t numbers, bytes;
} table;

static int longer(int width, size_t n) { return (size_t)width > n ? width : (int)n; }

/* A row for the module's own parameters. */
static int row(void *to, const char *path, mx_module *m) {
  table *b = to;
  char shapes[512] = "", number[32], size[32];
  size_t at = 0, numbers = 0, bytes = 0;
  for (int i = 0; i < m->n; i++) {
    const mx_member *p = &m->members[i];
    if (!p->array || p->name[0] == '_') continue;
    if (at < sizeof shapes - 1)
      at += (size_t)snprintf(shapes + at, sizeof shapes - at, "%s%s %s", numbers ? ", " : "", p->name, mx_shape_words(p->array));
    numbers += (size_t)p->array->size;
    bytes += mx_nbytes(p->array);
  }
  if (!at) return 0;
  const char *shown = *path ? path : "(itself)";
  if (b->measure) {
    b->path_width = longer(b->path_width, strlen(shown));
    b->type_width = longer(b->type_width, strlen(mx_module_type(m)));
    b->shape_width = longer(b->shape_width, strlen(shapes));
    b->numbers += numbers;
    b->bytes += bytes;
  } else
    add(&b->t, "%-*s  %-*s  %-*s  %15s  %10s\n", b->path_width, shown, b->type_width, mx_module_type(m), b->shape_width, shapes,
        grouped(number, numbers), bytes_text(size, bytes));
  return b->t.rc;
}

static int sum_one(void *to, const char *path, mx_module *owner, int place) {
  (void)path;
  *(size_t *)to += (size_t)owner->members[place].array->size;
  return 0;
}

char *mx_module_summary(mx_module *m) {
  size_t trainable = 0;
  table b = {.measure = true, .path_width = 6, .type_width = 4, .shape_width = 10};
  char all[32], train[32], frozen[32], size[32];
  int rc = mx_module_each(m, row, &b);
  if (!rc) rc = mx_module_walk(m, MX_WALK_TRAINABLE, sum_one, &trainable);
  if (rc) return NULL;
  b.measure = false;
  add(&b.t, "%-*s  %-*s  %-*s  %15s  %10s\n", b.path_width, "Module", b.type_width, "Type", b.shape_width, "Parameters",
      "Numbers", "Memory");
  rc = mx_module_each(m, row, &b);
  add(&b.t, "%s: %s numbers, %s trainable, %s frozen, %s", mx_module_type(m), grouped(all, b.numbers), grouped(train, trainable),
      grouped(frozen, b.numbers - trainable), bytes_text(size, b.bytes));
  return finished(&b.t, rc);
}
