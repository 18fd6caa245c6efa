/* The registry of primitives. */
#include "graph/primitive.h"

#include <pthread.h>
#include <string.h>

/* live[id]: the record while it lives, or NULL. The entries of `names` hold a reference. */
static struct {
  pthread_mutex_t lock;
  mx_registered **live, **names;
  int nlive, cap_live, nnames, cap_names;
} registry = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void destroy(mx_object *o) {
  mx_registered *r = (mx_registered *)o;
  pthread_mutex_lock(&registry.lock);
  if (r->id >= 0) registry.live[r->id] = NULL;
  pthread_mutex_unlock(&registry.lock);
  if (r->rules.dtor) r->rules.dtor(r->rules.payload);
  mx_free(r);
}

static int room(mx_registered ***at, int n, int *cap) {
  if (n < *cap) return 0;
  int more = *cap ? 2 * *cap : 16;
  mx_registered **p = mx_realloc(*at, (size_t)more * sizeof *p);
  if (!p) return mx_fail_memory();
  *at = p;
  *cap = more;
  return 0;
}

static int place_of(const char *name) {
  for (int i = 0; i < registry.nnames; i++)
    if (!strcmp(registry.names[i]->name, name)) return i;
  return -1;
}

/* Enters r under its name; *old is what stood there. */
static int enter(mx_registered *r, mx_registered **old) {
  int at = place_of(r->name);
  int rc = room(&registry.live, registry.nlive, &registry.cap_live);
  if (!rc && at < 0) rc = room(&registry.names, registry.nnames, &registry.cap_names);
  if (rc) return rc;
  r->id = registry.nlive;
  registry.live[registry.nlive++] = r;
  *old = at < 0 ? NULL : registry.names[at];
  registry.names[at < 0 ? registry.nnames++ : at] = r;
  return 0;
}

static int check(const char *name, const mx_primitive_rules *rules) {
  if (!name || !*name || strlen(name) > 200) return mx_fail(MX_EVALUE, "[primitive_register] A name of 1 to 200 bytes is needed.");
  if (!rules->shape || !rules->eval || rules->nout < 1 || rules->nout > MX_PRIMITIVE_MAX_OUT)
    return mx_fail(MX_EVALUE, "[primitive_register] %s: a shape rule, an evaluation and 1 to %d outputs are needed, %d outputs given.", name,
                   MX_PRIMITIVE_MAX_OUT, rules->nout);
  return 0;
}

int mx_primitive_register(const char *name, const mx_primitive_rules *rules) {
  int rc = check(name, rules);
  size_t n = rc ? 0 : strlen(name) + 1;
  mx_registered *r = rc ? NULL : mx_malloc(sizeof *r + n), *old = NULL;
  if (!r) {
    if (rules->dtor) rules->dtor(rules->payload);
    return rc ? rc : mx_fail_memory();
  }
  *r = (mx_registered){.id = -1, .rules = *rules};
  r->base = (mx_primitive){{1, destroy}, r->name, rules->eval, rules->payload};
  memcpy(r->name, name, n);
  pthread_mutex_lock(&registry.lock);
  rc = enter(r, &old);
  pthread_mutex_unlock(&registry.lock);
  if (rc) old = r;
  if (old) mx_object_release(&old->base.base);
  return rc;
}

int mx_primitive_unregister(const char *name) {
  mx_registered *r = NULL;
  pthread_mutex_lock(&registry.lock);
  int at = name ? place_of(name) : -1;
  if (at >= 0) {
    r = registry.names[at];
    registry.names[at] = registry.names[--registry.nnames];
  }
  pthread_mutex_unlock(&registry.lock);
  if (!r) return mx_fail(MX_EKEY, "[primitive_unregister] There is no primitive '%.200s'.", name ? name : "");
  mx_object_release(&r->base.base);
  return 0;
}

mx_registered *mx_primitive_named(const char *name, const char *tag) {
  pthread_mutex_lock(&registry.lock);
  int at = name ? place_of(name) : -1;
  mx_registered *r = at < 0 ? NULL : mx_object_retain(&registry.names[at]->base.base);
  pthread_mutex_unlock(&registry.lock);
  if (!r) mx_fail(MX_EKEY, "[%s] The primitive '%.200s' is not registered.", tag, name ? name : "");
  return r;
}

/* Whoever asks holds the record, or made the number up. */
static mx_registered *with_id(int64_t id) {
  pthread_mutex_lock(&registry.lock);
  mx_registered *r = id >= 0 && id < registry.nlive ? registry.live[id] : NULL;
  pthread_mutex_unlock(&registry.lock);
  return r;
}

int infer_primitive(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  mx_registered *r = np ? with_id(p[0]) : NULL;
  if (!r) return mx_fail(MX_EVALUE, "[%s] There is no such primitive.", mx_ops[op].name);
  if (nout != r->rules.nout) return mx_fail(MX_EVALUE, "[%s] %d results, expected %d.", r->name, nout, r->rules.nout);
  int rc = r->rules.shape(r->rules.payload, &(mx_primitive_site){nin, nout, np - 1, in, NULL, p + 1}, out);
  for (int i = 0; i < nout && !rc; i++) {
    bool good = out[i].dtype < MX_DTYPES && out[i].ndim >= 0 && out[i].ndim <= MX_MAX_NDIM;
    for (int d = 0; good && d < out[i].ndim; d++) good = out[i].shape[d] >= 0;
    if (!good) rc = mx_fail(MX_EVALUE, "[%s] The shape rule gave no valid shape and dtype for output %d.", r->name, i);
  }
  return rc;
}

int mx_primitive_apply(mx_scope *s, mx_registered *r, int nin, mx_array *const *in, int np, const int64_t *p, mx_array **res) {
  int64_t all[1 + MX_PRIMITIVE_MAX_P] = {r->id};
  if (np > MX_PRIMITIVE_MAX_P || nin > UINT16_MAX) {
    mx_scope_fail(s, MX_EVALUE, "[%s] %d inputs and %d parameters are too many.", r->name, nin, np);
    return s->rc;
  }
  if (np) memcpy(all + 1, p, (size_t)np * sizeof *p);
  return mx_node_multi(s, OP_primitive, nin, in, np + 1, all, &r->base.base, r->rules.nout, res);
}
