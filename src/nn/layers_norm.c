/* Normalisations as layers. */
#include <stdio.h>

#include "nn/layers.h"

/* A number as Python prints it: the shortest digits that give it back. */
static const char *number(char *to, size_t room, double v) {
  for (int digits = 1; digits <= 17; digits++) {
    double back;
    snprintf(to, room, "%.*g", digits, v);
    if (sscanf(to, "%lf", &back) == 1 && back == v) break;
  }
  return to;
}

static mx_module *norm(const mx_layer *layer, int dims, double eps, const char *first, double first_value, const char *second,
                       double second_value) {
  if (!mx_layer_sizes(layer->type, 1, 1, &dims)) return NULL;
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_module *m = mx_module_new(layer);
  if (first) mx_layer_constant(m, &s, first, first_value, dims);
  if (second) mx_layer_constant(m, &s, second, second_value, dims);
  if (m) m->whole[0] = dims, m->real[0] = eps;
  return mx_layer_done(m, &s);
}

static int layer_norm_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  out[0] = mx_nn_layer_norm(s, in[0], mx_module_own(m, "weight"), mx_module_own(m, "bias"), m->real[0]);
  return 0;
}
static int rms_norm_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  out[0] = mx_nn_rms_norm(s, in[0], mx_module_own(m, "weight"), m->real[0]);
  return 0;
}
static int instance_norm_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  out[0] = mx_nn_instance_norm(s, in[0], mx_module_own(m, "weight"), mx_module_own(m, "bias"), m->real[0]);
  return 0;
}
static int group_norm_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  out[0] = mx_nn_group_norm(s, in[0], mx_module_own(m, "weight"), mx_module_own(m, "bias"), m->whole[1], m->real[0], m->whole[2]);
  return 0;
}

static int batch_norm_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  mx_array *weight = mx_module_own(m, "weight"), *bias = mx_module_own(m, "bias"), *made[3] = {NULL};
  mx_array *mean = mx_module_own(m, "running_mean"), *var = mx_module_own(m, "running_var");
  if (!m->training) {
    out[0] = mx_nn_batch_norm(s, in[0], weight, bias, mean, var, m->real[0]);
    return 0;
  }
  int rc = mx_nn_batch_norm_train(s, made, in[0], weight, bias, mean, var, m->real[1], m->real[0]);
  out[0] = made[0];
  if (rc || !mean || !var) return rc;
  rc = mx_module_set_array(m, "running_mean", made[1]);
  return rc ? rc : mx_module_set_array(m, "running_var", made[2]);
}

static void dims_eps_affine(const mx_module *m, char *to, size_t room) {
  char eps[32];
  snprintf(to, room, "%d, eps=%s, affine=%s", m->whole[0], number(eps, sizeof eps, m->real[0]),
           mx_yes(mx_module_own(m, "weight")));
}
static void rms_norm_describe(const mx_module *m, char *to, size_t room) {
  char eps[32];
  snprintf(to, room, "%d, eps=%s", m->whole[0], number(eps, sizeof eps, m->real[0]));
}
static void group_norm_describe(const mx_module *m, char *to, size_t room) {
  char eps[32];
  snprintf(to, room, "%d, %d, eps=%s, affine=%s, pytorch_compatible=%s", m->whole[1], m->whole[0],
           number(eps, sizeof eps, m->real[0]), mx_yes(mx_module_own(m, "weight")), mx_yes(m->whole[2]));
}
static void batch_norm_describe(const mx_module *m, char *to, size_t room) {
  char eps[32], momentum[32];
  snprintf(to, room, "%d, eps=%s, momentum=%s, affine=%s, track_running_stats=%s", m->whole[0],
           number(eps, sizeof eps, m->real[0]), number(momentum, sizeof momentum, m->real[1]), mx_yes(mx_module_own(m, "weight")),
           mx_yes(mx_module_own(m, "running_mean")));
}

static const mx_layer layer_norm = {"LayerNorm", 1, 1, 1, layer_norm_forward, dims_eps_affine};
static const mx_layer rms_norm = {"RMSNorm", 1, 1, 1, rms_norm_forward, rms_norm_describe};
static const mx_layer instance_norm = {"InstanceNorm", 1, 1, 1, instance_norm_forward, dims_eps_affine};
static const mx_layer group_norm = {"GroupNorm", 1, 1, 1, group_norm_forward, group_norm_describe};
static const mx_layer batch_norm = {"BatchNorm", 1, 1, 1, batch_norm_forward, batch_norm_describe};

mx_module *mx_layer_norm_layer(int dims, double eps, bool affine, bool bias) {
  return norm(&layer_norm, dims, eps, affine ? "weight" : NULL, 1, affine && bias ? "bias" : NULL, 0);
}
mx_module *mx_rms_norm_layer(int dims, double eps) { return norm(&rms_norm, dims, eps, "weight", 1, NULL, 0); }
mx_module *mx_instance_norm_layer(int dims, double eps, bool affine) {
  return norm(&instance_norm, dims, eps, affine ? "weight" : NULL, 1, affine ? "bias" : NULL, 0);
}
mx_module *mx_group_norm_layer(int num_groups, int dims, double eps, bool affine, bool neighbours) {
  if (!mx_layer_sizes("GroupNorm", 1, 1, &num_groups) || !mx_layer_sizes("GroupNorm", 1, 1, &dims)) return NULL;
  if (dims % num_groups) {
    mx_fail(MX_EVALUE, "The number of features (%d) must be evenly divisible by the number of groups (%d).", dims, num_groups);
    return NULL;
  }
  mx_module *m = norm(&group_norm, dims, eps, affine ? "bias" : NULL, 0, affine ? "weight" : NULL, 1);
  if (m) m->whole[1] = num_groups, m->whole[2] = neighbours;
  return m;
}

mx_module *mx_batch_norm_layer(int num_features, double eps, double momentum, bool affine, bool track_running_stats) {
  mx_module *m = norm(&batch_norm, num_features, eps, affine ? "weight" : NULL, 1, affine ? "bias" : NULL, 0);
  if (!m || !track_running_stats) return m;
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  m->real[1] = momentum;
  mx_layer_constant(m, &s, "running_mean", 0, num_features);
  mx_layer_constant(m, &s, "running_var", 1, num_features);
  if (!s.rc) /* statistics are never trainable */
    for (int i = m->n - 2; i < m->n; i++) m->members[i].pinned = true;
  return mx_layer_done(m, &s);
}
