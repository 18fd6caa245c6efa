/* Modules: their members, their end, calling them. */
#include "nn/module.h"

#include <string.h>

/* ---- life ---- */

/* Iterative: modules below that end with this one wait in a list. */
static void module_destroy(mx_object *o) {
  mx_module *todo = (mx_module *)o;
  todo->next = NULL;
  while (todo) {
    mx_module *m = todo;
    todo = m->next;
    for (int i = 0; i < m->n; i++) {
      mx_module *child = m->members[i].module;
      if (child && mx_ref_drop(&child->base.refs)) {
        child->next = todo;
        todo = child;
      }
      mx_release(m->members[i].array);
      mx_free(m->members[i].name);
    }
    if (m->dtor) m->dtor(m->payload);
    mx_free(m->members);
    mx_free(m->type);
    mx_free(m);
  }
}

mx_module *mx_module_new(const mx_layer *layer) {
  mx_module *m = mx_calloc(1, sizeof *m);
  if (!m) {
    mx_fail_memory();
    return NULL;
  }
  m->base = (mx_object){1, module_destroy};
  m->layer = layer;
  m->training = true;
  return m;
}

mx_module *mx_module_named(const char *type) {
  mx_module *m = mx_module_new(NULL);
  if (m && !(m->type = mx_strdup(type))) {
    mx_fail_memory();
    mx_module_release(m);
    return NULL;
  }
  return m;
}

const char *mx_module_type(const mx_module *m) { return m->layer ? m->layer->type : m->type; }

int mx_module_set_forward(mx_module *m, mx_forward *forward, void *payload, void (*dtor)(void *)) {
  void *old = m->payload;
  void (*drop)(void *) = m->dtor;
  m->forward = forward;
  m->payload = payload;
  m->dtor = dtor;
  if (drop) drop(old);
  return 0;
}

/* ---- members ---- */

/* Whether one name is the other, or its beginning up to a dot. */
static bool clash(const char *a, const char *b) {
  while (*a && *a == *b) a++, b++;
  return (!*a && (!*b || *b == '.')) || (!*b && *a == '.');
}

static int check_name(const char *name) {
  size_t n = strlen(name);
  if (n && name[0] != '.' && name[n - 1] != '.' && !strstr(name, "..")) return 0;
  return mx_fail(MX_EVALUE, "[module] '%.200s' is no name of a member: expected words joined by dots", name);
}

/* The place of the member, made if there is none; -1 and an error. */
static int place_for(mx_module *m, const char *name) {
  for (int i = 0; i < m->n; i++)
    if (!strcmp(m->members[i].name, name)) return i;
  if (check_name(name)) return -1;
  for (int i = 0; i < m->n; i++)
    if (clash(m->members[i].name, name)) {
      mx_fail(MX_EVALUE, "[module] there cannot be a member '%.200s' beside '%.200s'", name, m->members[i].name);
      return -1;
    }
  if (m->n == m->cap) {
    int cap = m->cap ? 2 * m->cap : 4;
    mx_member *members = mx_realloc(m->members, (size_t)cap * sizeof *members);
    if (!members) return mx_fail_memory(), -1;
    m->members = members;
    m->cap = cap;
  }
  char *copy = mx_strdup(name);
  if (!copy) return mx_fail_memory(), -1;
  m->members[m->n] = (mx_member){.name = copy};
  return m->n++;
}

static void put(mx_member *at, mx_array *a, mx_module *child) { /* takes both */
  mx_array *old = at->array;
  mx_module *old_child = at->module;
  at->array = a;
  at->module = child;
  mx_release(old);
  mx_module_release(old_child);
}

int mx_module_set_array(mx_module *m, const char *name, mx_array *a) {
  int i = place_for(m, name);
  if (i < 0) return mx_error_kind();
  put(&m->members[i], mx_retain(a), NULL);
  return 0;
}

static int is_it(void *to, const char *path, mx_module *m) {
  (void)path;
  return m == to ? mx_fail(MX_EVALUE, "[module] a module cannot be below itself") : 0;
}

int mx_module_add(mx_module *m, const char *name, mx_module *child) {
  int rc = mx_module_each(child, is_it, m), i = rc ? -1 : place_for(m, name);
  if (i < 0) {
    mx_module_release(child);
    return mx_error_kind();
  }
  put(&m->members[i], NULL, child);
  return 0;
}

/* The member at a path: its owner and place. */
static mx_module *find(mx_module *m, const char *path, int *place) {
  for (;;) {
    mx_member *in = NULL;
    size_t skip = 0;
    for (int i = 0; i < m->n && !in; i++) {
      const char *name = m->members[i].name;
      size_t n = strlen(name);
      if (strncmp(path, name, n)) continue;
      if (!path[n]) {
        *place = i;
        return m;
      }
      if (path[n] == '.' && m->members[i].module) in = &m->members[i], skip = n + 1;
    }
    if (!in) return NULL;
    m = in->module;
    path += skip;
  }
}

mx_array *mx_module_array(mx_module *m, const char *path) {
  int i;
  m = find(m, path, &i);
  return m ? m->members[i].array : NULL;
}

mx_array *mx_module_take(mx_module *m, const char *name) {
  for (int i = 0; i < m->n; i++)
    if (!strcmp(m->members[i].name, name)) {
      mx_array *a = m->members[i].array;
      m->members[i].array = NULL;
      return a;
    }
  return NULL;
}

int mx_module_replace(mx_module *m, const char *path, mx_array *a) {
  int i;
  m = find(m, path, &i);
  if (m && m->members[i].array) put(&m->members[i], mx_retain(a), NULL);
  return 0;
}

void mx_module_replace_at(mx_module *m, const char *path, mx_module *child) {
  int i;
  m = find(m, path, &i);
  if (m && m->members[i].module) put(&m->members[i], NULL, mx_module_retain(child));
}

mx_module *mx_module_at(mx_module *m, const char *path) {
  int i;
  if (!*path) return m;
  m = find(m, path, &i);
  return m ? m->members[i].module : NULL;
}

mx_array *mx_module_own(const mx_module *m, const char *name) {
  for (int i = 0; i < m->n; i++)
    if (!strcmp(m->members[i].name, name)) return m->members[i].array;
  return NULL;
}

/* ---- calls ---- */

static _Thread_local int depth; /* of modules that call modules */

static int call_layer(mx_module *m, int n, mx_array *const *in, mx_list *out) {
  const mx_layer *l = m->layer;
  mx_array *given[MX_MODULE_INPUTS] = {NULL}, *made[2] = {NULL};
  for (int i = 0; i < n; i++) given[i] = in[i];
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  int rc = l->forward(m, &s, given, made);
  if (!rc) rc = s.rc;
  for (int i = 0; i < l->nout && !rc; i++)
    rc = made[i] ? mx_list_push(out, made[i]) : mx_fail(MX_ERUNTIME, "[%s] gave no result", l->type);
  mx_scope_end(&s);
  return rc;
}

int mx_module_call(mx_module *m, int n, mx_array *const *in, mx_list *out) {
  if (depth >= MX_MODULE_DEPTH)
    return mx_fail(MX_ERUNTIME, "[%s] modules call each other more than %d deep", mx_module_type(m), MX_MODULE_DEPTH);
  depth++;
  mx_module_retain(m); /* its function may replace it */
  int rc;
  if (m->forward)
    rc = m->forward(m->payload, m, n, in, out);
  else if (!m->layer)
    rc = mx_fail(MX_EVALUE, "[%s] the module has no forward function", mx_module_type(m));
  else if (n < m->layer->least || n > m->layer->most)
    rc = mx_fail(MX_EVALUE, "[%s] %d inputs given, expected %d to %d", m->layer->type, n, m->layer->least, m->layer->most);
  else
    rc = call_layer(m, n, in, out);
  mx_module_release(m);
  depth--;
  return rc;
}

mx_array *mx_module_calln(mx_module *m, mx_scope *s, int n, mx_array *const *in) {
  if (s->rc || !in[0]) return NULL;
  if (!m) return mx_scope_fail(s, MX_EVALUE, "[module] a layer that this one is made of is missing");
  while (n > 1 && !in[n - 1]) n--;
  mx_list out = {0};
  int rc = mx_module_call(m, n, in, &out);
  mx_array *y = NULL;
  if (!rc && out.n < 1) rc = mx_fail(MX_EVALUE, "[%s] gave no result", mx_module_type(m));
  if (rc)
    mx_scope_error(s, rc);
  else
    y = mx_own(s, mx_retain(out.at[0]));
  mx_list_clear(&out);
  return y;
}

mx_array *mx_module_call1(mx_module *m, mx_scope *s, mx_array *x) { return mx_module_calln(m, s, 1, &x); }
