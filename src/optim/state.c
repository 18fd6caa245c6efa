/* The state of an optimizer by names. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "optim/optimizer.h"

/* ---- telling ---- */

/* prefix + name + dot + slot, in memory of its own; NULL and an error. */
static char *joined(const char *prefix, const char *name, const char *dot, const char *slot) {
  size_t room = strlen(prefix) + strlen(name) + strlen(dot) + strlen(slot) + 1;
  char *text = mx_malloc(room);
  if (text)
    snprintf(text, room, "%s%s%s%s", prefix, name, dot, slot);
  else
    mx_fail_memory();
  return text;
}

static int tell(const char *prefix, const char *name, const char *dot, const char *slot, mx_array **place, mx_state_visit *visit, void *to) {
  if (!*place) return 0;
  char *text = joined(prefix, name, dot, slot);
  if (!text) return mx_error_kind();
  int rc = visit(to, text, place);
  mx_free(text);
  return rc;
}

static int walk(mx_optimizer *o, const char *prefix, mx_state_visit *visit, void *to) {
  int rc = 0;
  for (int i = 0; i < o->nparts && !rc; i++) {
    char number[32];
    snprintf(number, sizeof number, "states.%d", i);
    char *inner = joined(prefix, number, ".", "");
    rc = inner ? walk(o->parts[i], inner, visit, to) : mx_error_kind();
    mx_free(inner);
  }
  if (rc || !o->kind) return rc;
  rc = tell(prefix, "step", "", "", &o->step, visit, to);
  if (!rc) rc = tell(prefix, "learning_rate", "", "", &o->learning_rate, visit, to);
  for (int i = 0; i < o->slots.n && !rc; i++) {
    mx_slots *slots = o->slots.at[i].value;
    for (int k = 0; k < MX_SLOTS && !rc; k++)
      rc = tell(prefix, o->slots.at[i].key, ".", o->kind->slot[k] ? o->kind->slot[k] : "", &slots->at[k], visit, to);
  }
  return rc;
}

int mx_optimizer_walk(mx_optimizer *o, mx_state_visit *visit, void *to) { return walk(o, "", visit, to); }

/* ---- being told ---- */

/* The slot that the end of a name tells, -1: none; *length is that of the parameter's name. */
static int slot_of(const mx_optimizer_kind *kind, const char *name, size_t *length) {
  const char *dot = strrchr(name, '.');
  for (int i = 0; dot && i < MX_SLOTS && kind->slot[i]; i++)
    if (!strcmp(dot + 1, kind->slot[i])) {
      *length = (size_t)(dot - name);
      return i;
    }
  return -1;
}

/* Puts one named array into a state that is being made. */
static int take(const mx_optimizer_kind *kind, const char *name, mx_array *value, mx_map *slots, mx_array **step, mx_array **rate) {
  if (!strcmp(name, "step") || !strcmp(name, "learning_rate")) {
    if (value->size != 1) return mx_fail(MX_EVALUE, "[optimizer] '%s' has shape %s, expected one number", name, mx_shape_of(value));
    mx_set(*name == 's' ? step : rate, mx_retain(value));
    return 0;
  }
  size_t length;
  int i = slot_of(kind, name, &length);
  if (i < 0) return mx_fail(MX_EKEY, "[optimizer] '%s' is no part of the state of %s", name, kind->type);
  char *parameter = mx_strdup(name);
  if (!parameter) return mx_fail_memory();
  parameter[length] = 0;
  mx_slots *mine = mx_map_find(slots, parameter);
  int rc = 0;
  if (!mine) {
    if (!(mine = mx_calloc(1, sizeof *mine))) rc = mx_fail_memory();
    else if ((rc = mx_map_insert(slots, parameter, mine, mx_drop_slots))) mx_free(mine);
  }
  if (!rc) mx_set(&mine->at[i], mx_retain(value));
  mx_free(parameter);
  return rc;
}

static int set_state(mx_optimizer *o, int n, const char *const *names, mx_array *const *values, bool really);

/* "states.<k>.<rest>": k and where the rest begins; -1 for another name. */
static int part_of(const char *name, const char **rest) {
  if (strncmp(name, "states.", 7) || name[7] < '0' || name[7] > '9') return -1;
  char *end;
  long k = strtol(name + 7, &end, 10);
  if (*end != '.' || k > 1 << 20) return -1;
  *rest = end + 1;
  return (int)k;
}

static int set_parts(mx_optimizer *o, int n, const char *const *names, mx_array *const *values, bool really) {
  const char **rest = mx_malloc(((size_t)n + 1) * (sizeof *rest + sizeof *values));
  if (!rest) return mx_fail_memory();
  mx_array **mine = (mx_array **)(rest + n + 1);
  const char *after;
  int rc = 0;
  for (int i = 0; i < n && !rc; i++) {
    int k = part_of(names[i], &after);
    if (k < 0 || k >= o->nparts)
      rc = mx_fail(MX_EKEY, "[optimizer] '%s' is no part of the state of %d optimizers, expected states.0 and so on", names[i], o->nparts);
  }
  for (int k = 0; k < o->nparts && !rc; k++) {
    int m = 0;
    for (int i = 0; i < n; i++)
      if (part_of(names[i], &after) == k) rest[m] = after, mine[m++] = values[i];
    rc = set_state(o->parts[k], m, rest, mine, really);
  }
  mx_free(rest);
  return rc;
}

/* Without `really` only says whether it would do. */
static int set_state(mx_optimizer *o, int n, const char *const *names, mx_array *const *values, bool really) {
  if (!o->kind) return set_parts(o, n, names, values, really);
  mx_map slots = {0};
  mx_array *step = mx_retain(o->step), *rate = mx_retain(o->learning_rate);
  int rc = 0;
  for (int i = 0; i < n && !rc; i++) rc = take(o->kind, names[i], values[i], &slots, &step, &rate);
  if (!rc && really) {
    mx_map old = o->slots;
    o->slots = slots;
    slots = old;
    mx_set(&o->step, mx_retain(step));
    mx_set(&o->learning_rate, mx_retain(rate));
  }
  mx_map_clear(&slots, mx_drop_slots);
  mx_release(step);
  mx_release(rate);
  return rc;
}

int mx_optimizer_set_state(mx_optimizer *o, int n, const char *const *names, mx_array *const *values) {
  int rc = set_state(o, n, names, values, false);
  return rc ? rc : set_state(o, n, names, values, true);
}
