/* Recurrent layers. Inputs: the sequence, then the states to begin with. */
#include <math.h>
#include <stdio.h>

#include "nn/layers.h"

static int rnn_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  out[0] = mx_nn_rnn(s, in[0], mx_module_own(m, "Wxh"), mx_module_own(m, "Whh"), mx_module_own(m, "bias"), in[1]);
  return 0;
}
static int gru_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  out[0] =
      mx_nn_gru(s, in[0], mx_module_own(m, "Wx"), mx_module_own(m, "Wh"), mx_module_own(m, "b"), mx_module_own(m, "bhn"), in[1]);
  return 0;
}
static int lstm_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  return mx_nn_lstm(s, out, in[0], mx_module_own(m, "Wx"), mx_module_own(m, "Wh"), mx_module_own(m, "bias"), in[1], in[2]);
}
static void describe(const mx_module *m, char *to, size_t room) {
  snprintf(to, room, "input_dims=%d, hidden_size=%d, bias=%s", m->whole[0], m->whole[1], mx_yes(m->whole[2]));
}

static const mx_layer rnn = {"RNN", 1, 2, 1, rnn_forward, describe};
static const mx_layer gru = {"GRU", 1, 2, 1, gru_forward, describe};
static const mx_layer lstm = {"LSTM", 1, 3, 2, lstm_forward, describe};

/* Weights with `gates` times hidden rows. */
static mx_module *recurrent(const mx_layer *layer, int gates, const char *wx, const char *wh, const char *b, const char *bhn,
                            int input, int hidden) {
  if (!mx_layer_sizes(layer->type, 1, 2, (int[]){input, hidden})) return NULL;
  if (hidden > MX_MAX_DIM / 4) {
    mx_fail(MX_EVALUE, "[%s] a hidden size of %d is too large", layer->type, hidden);
    return NULL;
  }
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_module *m = mx_module_new(layer);
  double limit = 1.0 / sqrt(hidden);
  int rows = gates * hidden;
  mx_layer_uniform(m, &s, wx, limit, (int[]){rows, input}, 2);
  mx_layer_uniform(m, &s, wh, limit, (int[]){rows, hidden}, 2);
  if (b) mx_layer_uniform(m, &s, b, limit, &rows, 1);
  if (bhn) mx_layer_uniform(m, &s, bhn, limit, &hidden, 1);
  if (m) m->whole[0] = input, m->whole[1] = hidden, m->whole[2] = b != NULL;
  return mx_layer_done(m, &s);
}

mx_module *mx_rnn_layer(int input_size, int hidden_size, bool bias) {
  return recurrent(&rnn, 1, "Wxh", "Whh", bias ? "bias" : NULL, NULL, input_size, hidden_size);
}
mx_module *mx_gru_layer(int input_size, int hidden_size, bool bias) {
  return recurrent(&gru, 3, "Wx", "Wh", bias ? "b" : NULL, bias ? "bhn" : NULL, input_size, hidden_size);
}
mx_module *mx_lstm_layer(int input_size, int hidden_size, bool bias) {
  return recurrent(&lstm, 4, "Wx", "Wh", bias ? "bias" : NULL, NULL, input_size, hidden_size);
}
