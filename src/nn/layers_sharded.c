/* Linear layers that the processes of a team share. All to sharded: each has the whole input and computes a part of the outputs. Sharded to
 * all: each has the weights of a part of the input, and what they compute is summed. Teams are of one process so far, whose gradients
 * need no sum. payload: the team. */
#include "nn/layers.h"

static mx_array *with_bias(const mx_module *m, mx_scope *s, mx_array *y) {
  mx_array *bias = mx_module_own(m, "bias");
  return bias ? mx_add(s, y, bias) : y;
}

static int spread_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  out[0] = mx_nn_linear(s, in[0], mx_module_own(m, "weight"), mx_module_own(m, "bias"));
  return 0;
}
static int spread_quantized_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  out[0] = with_bias(m, s, mx_quantized_product(m, s, in[0]));
  return 0;
}

static mx_array *sum_of(const mx_module *m, mx_scope *s, mx_array *y) {
  const mx_team *t = m->payload;
  return y ? t->sum(s, y, t->group) : NULL;
}
static int gather_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  out[0] = with_bias(m, s, sum_of(m, s, mx_nn_linear(s, in[0], mx_module_own(m, "weight"), NULL)));
  return 0;
}
static int gather_quantized_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  out[0] = with_bias(m, s, sum_of(m, s, mx_quantized_product(m, s, in[0])));
  return 0;
}

static const mx_layer spread[] = {
    {"AllToShardedLinear", 1, 1, 1, spread_forward, mx_linear_describe},
    {"QuantizedAllToShardedLinear", 1, 1, 1, spread_quantized_forward, mx_quantized_linear_describe}};
static const mx_layer gather[] = {
    {"ShardedToAllLinear", 1, 1, 1, gather_forward, mx_linear_describe},
    {"QuantizedShardedToAllLinear", 1, 1, 1, gather_quantized_forward, mx_quantized_linear_describe}};

static void drop_team(void *payload) {
  mx_team *t = payload;
  if (t->drop) t->drop(t->group);
  mx_free(t);
}

static mx_module *shared(const mx_layer *layer, int in, int out, bool bias, int group_size, int bits, const char *mode, mx_team team) {
  mx_module *m = NULL;
  mx_team *mine = mx_malloc(sizeof *mine);
  if (!mine)
    mx_fail_memory();
  else if (team.size != 1)
    mx_fail(MX_EVALUE, "[%s] a group of %d processes given, expected one of a single process", layer->type, team.size);
  else
    m = mode ? mx_quantized_linear_like(layer, in, out, bias, group_size, bits, mode) : mx_linear_like(layer, in, out, bias);
  if (!m) {
    if (team.drop) team.drop(team.group);
    mx_free(mine);
    return NULL;
  }
  *mine = team;
  m->payload = mine;
  m->dtor = drop_team;
  return m;
}

mx_module *mx_all_to_sharded_layer(int input_dims, int output_dims, bool bias, int group_size, int bits, const char *mode, mx_team team) {
  return shared(&spread[mode != NULL], input_dims, output_dims, bias, group_size, bits, mode, team);
}
mx_module *mx_sharded_to_all_layer(int input_dims, int output_dims, bool bias, int group_size, int bits, const char *mode, mx_team team) {
  return shared(&gather[mode != NULL], input_dims, output_dims, bias, group_size, bits, mode, team);
}
