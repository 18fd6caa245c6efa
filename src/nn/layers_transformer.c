/* Transformers: attention and a perceptron with residual connections, stacked. A mask that is not given is NULL. */
#include <stdio.h>

#include "nn/layers.h"

static mx_array *child1(mx_module *m, mx_scope *s, const char *name, mx_array *x) {
  return mx_module_call1(mx_module_at(m, name), s, x);
}

static mx_array *attend(mx_module *m, mx_scope *s, const char *name, mx_array *x, mx_array *memory, mx_array *mask) {
  return mx_module_calln(mx_module_at(m, name), s, 4, (mx_array *[]){x, memory, memory, mask});
}

/* linear2(dropout(activation(linear1(x)))) */
static mx_array *perceptron(mx_module *m, mx_scope *s, mx_array *x, const char *dropout) {
  mx_module *activation = mx_module_at(m, "activation");
  x = child1(m, s, "linear1", x);
  x = activation ? mx_module_call1(activation, s, x) : mx_nn_relu(s, x);
  return child1(m, s, "linear2", child1(m, s, dropout, x));
}

/* whole[0]: the norms come first */
static int encoder_layer_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  mx_array *x = in[0], *mask = in[1], *y;
  if (m->whole[0]) {
    y = child1(m, s, "ln1", x);
    x = mx_add(s, x, child1(m, s, "dropout1", attend(m, s, "attention", y, y, mask)));
    out[0] = mx_add(s, x, perceptron(m, s, child1(m, s, "ln2", x), "dropout2"));
  } else {
    x = child1(m, s, "ln1", mx_add(s, x, child1(m, s, "dropout1", attend(m, s, "attention", x, x, mask))));
    out[0] = child1(m, s, "ln2", mx_add(s, x, perceptron(m, s, x, "dropout2")));
  }
  return 0;
}

static int decoder_layer_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  mx_array *x = in[0], *memory = in[1], *mask = in[2], *memory_mask = in[3], *y;
  if (m->whole[0]) {
    y = child1(m, s, "ln1", x);
    x = mx_add(s, x, child1(m, s, "dropout1", attend(m, s, "self_attention", y, y, mask)));
    y = child1(m, s, "ln2", x);
    x = mx_add(s, x, child1(m, s, "dropout2", attend(m, s, "cross_attention", y, memory, memory_mask)));
    out[0] = mx_add(s, x, perceptron(m, s, child1(m, s, "ln3", x), "dropout3"));
  } else {
    x = child1(m, s, "ln1", mx_add(s, x, child1(m, s, "dropout1", attend(m, s, "self_attention", x, x, mask))));
    x = child1(m, s, "ln2", mx_add(s, x, child1(m, s, "dropout2", attend(m, s, "cross_attention", x, memory, memory_mask))));
    out[0] = child1(m, s, "ln3", mx_add(s, x, perceptron(m, s, x, "dropout3")));
  }
  return 0;
}

/* A layer whose inside is computed again for gradients. A closure has no inputs that are not given: they are left out, and put back. */
typedef struct part {
  mx_module *m;
  int place[MX_MODULE_INPUTS];
} part;

static int call_part(void *payload, int n, mx_array *const *in, mx_list *out) {
  const part *p = payload;
  mx_array *at[MX_MODULE_INPUTS] = {NULL};
  for (int i = 0; i < n; i++) at[p->place[i]] = in[i];
  return mx_module_call(p->m, p->place[n - 1] + 1, at, out);
}

static mx_array *checkpointed(mx_module *m, mx_scope *s, int n, mx_array *const *in) {
  if (s->rc || !m) return mx_module_calln(m, s, n, in);
  part p = {.m = m};
  mx_array *given[MX_MODULE_INPUTS], *y = NULL;
  mx_list out = {0};
  int k = 0;
  for (int i = 0; i < n; i++)
    if (in[i]) p.place[k] = i, given[k++] = in[i];
  mx_closure *f = mx_closure_new(call_part, &p, NULL);
  int rc = f ? mx_module_checkpoint(m, f, k, given, &out) : mx_fail_memory();
  if (!rc && out.n < 1) rc = mx_fail(MX_EVALUE, "[%s] gave no result", mx_module_type(m));
  if (rc)
    mx_scope_error(s, rc);
  else
    y = mx_own(s, mx_retain(out.at[0]));
  if (f) mx_object_release(&f->base);
  mx_list_clear(&out);
  return y;
}

/* Layers, all with the same further inputs, and a norm. whole: how many, whether they are checkpointed */
static mx_array *stack(mx_module *m, mx_scope *s, int n, mx_array *const *in) {
  mx_array *at[MX_MODULE_INPUTS] = {in[0]};
  for (int i = 1; i < n; i++) at[i] = in[i];
  for (int i = 0; i < m->whole[0] && at[0]; i++) {
    char name[32];
    snprintf(name, sizeof name, "layers.%d", i);
    at[0] = (m->whole[1] ? checkpointed : mx_module_calln)(mx_module_at(m, name), s, n, at);
  }
  return child1(m, s, "ln", at[0]);
}
static int encoder_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  out[0] = stack(m, s, 2, in);
  return 0;
}
static int decoder_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  out[0] = stack(m, s, 4, in);
  return 0;
}

/* source, target, and the masks of both and of the memory */
static int transformer_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  mx_array *memory = mx_module_calln(mx_module_at(m, "encoder"), s, 2, (mx_array *[]){in[0], in[2]});
  out[0] = mx_module_calln(mx_module_at(m, "decoder"), s, 4, (mx_array *[]){in[1], memory, in[3], in[4]});
  return 0;
}

static const mx_layer encoder_layer = {"TransformerEncoderLayer", 1, 2, 1, encoder_layer_forward, NULL};
static const mx_layer decoder_layer = {"TransformerDecoderLayer", 2, 4, 1, decoder_layer_forward, NULL};
static const mx_layer encoder = {"TransformerEncoder", 1, 2, 1, encoder_forward, NULL};
static const mx_layer decoder = {"TransformerDecoder", 2, 4, 1, decoder_forward, NULL};
static const mx_layer transformer = {"Transformer", 2, 5, 1, transformer_forward, NULL};

static mx_module *plain_norm(int dims) { return mx_layer_norm_layer(dims, 1e-5, true, true); }

/* The perceptron, after `norms` norms and before as many dropouts, and the activation. */
static mx_module *finished(mx_module *m, mx_scope *s, const mx_transformer_settings *t, int norms) {
  int mlp = t->mlp_dims ? t->mlp_dims : t->dims <= MX_MAX_DIM / 4 ? 4 * t->dims : 0;
  char name[16];
  for (int i = 1; i <= norms && !s->rc; i++) {
    snprintf(name, sizeof name, "ln%d", i);
    mx_layer_child(m, s, name, plain_norm(t->dims));
  }
  if (!s->rc) mx_layer_child(m, s, "linear1", mx_linear_layer(t->dims, mlp, true));
  if (!s->rc) mx_layer_child(m, s, "linear2", mx_linear_layer(mlp, t->dims, true));
  for (int i = 1; i <= norms && !s->rc; i++) {
    snprintf(name, sizeof name, "dropout%d", i);
    mx_layer_child(m, s, name, mx_dropout_layer(0, t->dropout));
  }
  if (t->activation && !s->rc) mx_layer_child(m, s, "activation", mx_module_retain(t->activation));
  if (m) m->whole[0] = t->norm_first;
  return mx_layer_done(m, s);
}

static mx_module *attention_of(const mx_transformer_settings *t, bool causal) {
  return mx_attention_layer(t->dims, t->num_heads, 0, 0, 0, 0, 0, false, causal);
}

mx_module *mx_encoder_layer_layer(const mx_transformer_settings *t) {
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_module *m = mx_module_new(&encoder_layer);
  mx_layer_child(m, &s, "attention", attention_of(t, t->causal));
  return finished(m, &s, t, 2);
}

mx_module *mx_decoder_layer_layer(const mx_transformer_settings *t) {
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_module *m = mx_module_new(&decoder_layer);
  mx_layer_child(m, &s, "self_attention", attention_of(t, t->causal));
  if (!s.rc) mx_layer_child(m, &s, "cross_attention", attention_of(t, false));
  return finished(m, &s, t, 3);
}

static mx_module *stacked(const mx_layer *layer, int n, mx_module *(*one)(const mx_transformer_settings *),
                          const mx_transformer_settings *t) {
  if (!mx_layer_sizes(layer->type, 0, 1, &n)) return NULL;
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_module *m = mx_module_new(layer);
  for (int i = 0; i < n && !s.rc; i++) {
    char name[32];
    snprintf(name, sizeof name, "layers.%d", i);
    mx_layer_child(m, &s, name, one(t));
  }
  if (!s.rc) mx_layer_child(m, &s, "ln", plain_norm(t->dims));
  if (m) m->whole[0] = n, m->whole[1] = t->checkpoint;
  return mx_layer_done(m, &s);
}

mx_module *mx_encoder_layer_stack(int n, const mx_transformer_settings *t) {
  return stacked(&encoder, n, mx_encoder_layer_layer, t);
}
mx_module *mx_decoder_layer_stack(int n, const mx_transformer_settings *t) {
  return stacked(&decoder, n, mx_decoder_layer_layer, t);
}

mx_module *mx_transformer_layer(int encoders, int decoders, const mx_transformer_settings *t) {
  mx_transformer_settings open = *t;
  open.causal = false; /* the source may be seen whole */
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_module *m = mx_module_new(&transformer);
  mx_layer_child(m, &s, "encoder", mx_encoder_layer_stack(encoders, &open));
  if (!s.rc) mx_layer_child(m, &s, "decoder", mx_decoder_layer_stack(decoders, t));
  return mx_layer_done(m, &s);
}
