/* Walks over the tree of a module: its arrays by path, its modules, freezing and modes, gradients by its parameters. */
#include <string.h>

#include "nn/module.h"
#include "transforms/transforms.h"

/* ---- paths ---- */

typedef struct walker {
  char *path;
  size_t cap;
  enum mx_walk what;
  mx_visit *visit;
  mx_visit_module *visit_module;
  void *to;
} walker;

/* The path of n characters goes on with a name; its new length, or 0 and an error. */
static size_t descend(walker *w, size_t n, const char *name) {
  size_t more = strlen(name), need = n + more + 2;
  if (need > w->cap) {
    char *path = mx_realloc(w->path, 2 * need);
    if (!path) return mx_fail_memory(), 0;
    w->path = path;
    w->cap = 2 * need;
  }
  if (n) w->path[n++] = '.';
  memcpy(w->path + n, name, more + 1);
  return n + more;
}

static bool passes(const walker *w, const mx_member *p) {
  if (!p->array && !p->module) return false;
  if (w->visit_module || w->what == MX_WALK_ALL) return true;
  return p->name[0] != '_' && !(w->what == MX_WALK_TRAINABLE && (p->frozen || p->pinned));
}

static int walk(walker *w, mx_module *m, size_t at, int depth) {
  int rc = 0;
  if (depth > MX_MODULE_DEPTH) return mx_fail(MX_EVALUE, "[module] modules are nested more than %d deep", MX_MODULE_DEPTH);
  for (int i = 0; i < m->n && !rc; i++) {
    if (!passes(w, &m->members[i]) || (w->visit_module && !m->members[i].module)) continue;
    size_t n = descend(w, at, m->members[i].name);
    if (!n) return mx_error_kind();
    mx_module *child = m->members[i].module;
    if (!child)
      rc = w->visit(w->to, w->path, m, i);
    else if (!w->visit_module || !(rc = w->visit_module(w->to, w->path, child)))
      rc = walk(w, child, n, depth + 1);
    w->path[at] = 0;
  }
  return rc;
}

int mx_module_walk(mx_module *m, enum mx_walk what, mx_visit *visit, void *to) {
  walker w = {.what = what, .visit = visit, .to = to};
  int rc = walk(&w, m, 0, 0);
  mx_free(w.path);
  return rc;
}

int mx_module_each(mx_module *m, mx_visit_module *visit, void *to) {
  walker w = {.visit_module = visit, .to = to};
  int rc = visit(to, "", m);
  if (!rc) rc = walk(&w, m, 0, 0);
  mx_free(w.path);
  return rc;
}

/* ---- freezing and modes ---- */

typedef struct freezing {
  bool frozen;
  const char *const *keys;
  size_t n;
  bool *seen; /* [n], or NULL */
} freezing;

static int freeze_one(void *to, const char *path, mx_module *m) {
  (void)path;
  freezing *f = to;
  for (int i = 0; i < m->n; i++) {
    mx_member *p = &m->members[i];
    if (!f->n && (f->frozen ? p->array && p->name[0] != '_' : true)) p->frozen = f->frozen;
    for (size_t k = 0; k < f->n; k++)
      if (!strcmp(p->name, f->keys[k])) {
        p->frozen = f->frozen;
        if (f->seen) f->seen[k] = true;
      }
  }
  return 0;
}

static int look_one(void *to, const char *path, mx_module *m) {
  (void)path;
  freezing *f = to;
  for (int i = 0; i < m->n; i++)
    for (size_t k = 0; k < f->n; k++)
      if (!strcmp(m->members[i].name, f->keys[k])) f->seen[k] = true;
  return 0;
}

int mx_module_freeze(mx_module *m, bool frozen, bool recurse, const char *const *keys, size_t n, bool strict) {
  freezing f = {frozen, keys, n, NULL};
  int rc = 0;
  if (strict && n) {
    f.seen = mx_calloc(n, sizeof *f.seen);
    if (!f.seen) return mx_fail_memory();
    rc = recurse ? mx_module_each(m, look_one, &f) : look_one(&f, "", m);
    for (size_t k = 0; k < n && !rc; k++)
      if (!f.seen[k]) rc = mx_fail(MX_EKEY, "Module doesn't contain member %.200s.", keys[k]);
  }
  if (!rc) rc = recurse ? mx_module_each(m, freeze_one, &f) : freeze_one(&f, "", m);
  mx_free(f.seen);
  return rc;
}

static int train_one(void *to, const char *path, mx_module *m) {
  (void)path;
  m->training = *(bool *)to;
  return m->mode ? m->mode(m) : 0;
}

int mx_module_train(mx_module *m, bool mode) { return mx_module_each(m, train_one, &mode); }

/* ---- gradients ---- */

/* Places of arrays in modules, and what stood in them. */
typedef struct slots {
  int n, cap;
  struct slot {
    mx_module *owner;
    int place;
  } * at;
  mx_list held;
} slots;

static int note(void *to, const char *path, mx_module *owner, int place) {
  (void)path;
  slots *l = to;
  if (l->n == l->cap) {
    int cap = l->cap ? 2 * l->cap : 16;
    struct slot *at = mx_realloc(l->at, (size_t)cap * sizeof *at);
    if (!at) return mx_fail_memory();
    l->at = at;
    l->cap = cap;
  }
  int rc = mx_list_push(&l->held, owner->members[place].array);
  if (!rc) l->at[l->n++] = (struct slot){mx_module_retain(owner), place};
  return rc;
}

/* The function may have put a module where an array was, or taken it out: that stays. */
static void fill(slots *l, mx_array *const *with) {
  for (int i = 0; i < l->n; i++) {
    mx_member *p = &l->at[i].owner->members[l->at[i].place];
    if (!p->array) continue;
    mx_array *old = p->array;
    p->array = mx_retain(with[i]);
    mx_release(old);
  }
}

static void slots_clear(slots *l) {
  for (int i = 0; i < l->n; i++) mx_module_release(l->at[i].owner);
  mx_free(l->at);
  mx_list_clear(&l->held);
}

typedef struct applied {
  slots *slots;
  mx_closure *f;
} applied;

static int call_applied(void *payload, int n, mx_array *const *in, mx_list *out) {
  applied *a = payload;
  int k = a->slots->n;
  fill(a->slots, in);
  return mx_closure_call(a->f, n - k, in + k, out);
}

int mx_module_value_and_grad(mx_module *m, mx_closure *f, int n, mx_array *const *in, mx_list *values, mx_list *grads) {
  slots l = {0};
  int rc = mx_module_walk(m, MX_WALK_TRAINABLE, note, &l), k = l.n;
  if (rc || !k) {
    if (!rc) rc = mx_closure_call(f, n, in, values);
    slots_clear(&l);
    return rc;
  }
  applied a = {&l, f};
  mx_closure *g = mx_closure_new(call_applied, &a, NULL);
  mx_array **all = mx_malloc((size_t)(k + n) * sizeof *all);
  int *which = mx_malloc((size_t)k * sizeof *which);
  if (!g || !all || !which) {
    rc = mx_fail_memory();
  } else {
    for (int i = 0; i < k; i++) {
      all[i] = l.held.at[i];
      which[i] = i;
    }
    for (int i = 0; i < n; i++) all[k + i] = in[i];
    rc = mx_value_and_grad(g, k, which, k + n, all, values, grads);
    fill(&l, l.held.at); /* the function has left traced ones in their place */
  }
  mx_free(all);
  mx_free(which);
  if (g) mx_object_release(&g->base);
  slots_clear(&l);
  return rc;
}

typedef struct functional {
  mx_module *m;
  mx_closure *f;
  enum mx_walk what;
} functional;

static int call_functional(void *payload, int n, mx_array *const *in, mx_list *out) {
  functional *p = payload;
  slots l = {0};
  int rc = mx_module_walk(p->m, p->what, note, &l);
  if (!rc && n < l.n)
    rc = mx_fail(MX_EVALUE, "[module_functional] %d arrays given, expected %d of the module before the inputs", n, l.n);
  if (!rc) {
    fill(&l, in);
    rc = mx_closure_call(p->f, n - l.n, in + l.n, out);
    fill(&l, l.held.at);
  }
  slots_clear(&l);
  return rc;
}

static void drop_functional(void *payload) {
  functional *p = payload;
  mx_module_release(p->m);
  mx_object_release(&p->f->base);
  mx_free(p);
}

mx_closure *mx_module_functional(mx_module *m, mx_closure *f, enum mx_walk what) {
  functional *p = mx_malloc(sizeof *p);
  if (!p) {
    mx_fail_memory();
    return NULL;
  }
  *p = (functional){mx_module_retain(m), mx_object_retain(&f->base), what};
  return mx_closure_new(call_functional, p, drop_functional);
}

int mx_module_checkpoint(mx_module *m, mx_closure *f, int n, mx_array *const *in, mx_list *out) {
  slots l = {0};
  int rc = mx_module_walk(m, MX_WALK_TRAINABLE, note, &l);
  mx_closure *g = rc ? NULL : mx_module_functional(m, f, MX_WALK_TRAINABLE), *c = g ? mx_checkpoint(g) : NULL;
  if (!rc && !c) rc = mx_error_kind();
  for (int i = 0; i < n && !rc; i++) rc = mx_list_push(&l.held, in[i]);
  if (!rc) rc = mx_closure_call(c, l.held.n, l.held.at, out);
  if (g) mx_object_release(&g->base);
  if (c) mx_object_release(&c->base);
  slots_clear(&l);
  return rc;
}
