/* The layers as modules. Each gives a new module, initialised as Python's layer of that name is, or NULL and an error. */
#ifndef MX_NN_LAYERS_H
#define MX_NN_LAYERS_H

#include "nn/module.h"

/* layers.c */
mx_module *mx_identity_layer(void);
mx_module *mx_linear_layer(int input_dims, int output_dims, bool bias);
mx_module *mx_linear_like(const mx_layer *layer, int input_dims, int output_dims, bool bias); /* with another forward function */
void mx_linear_describe(const mx_module *m, char *to, size_t room);
mx_module *mx_bilinear_layer(int input1_dims, int input2_dims, int output_dims, bool bias);
mx_module *mx_embedding_layer(int num_embeddings, int dims);
/* k spatial axes; each list has k numbers */
mx_module *mx_conv_layer(int k, int in, int out, const int *kernel, const int *stride, const int *padding, const int *dilation,
                         int groups, bool bias);
mx_module *mx_conv_transpose_layer(int k, int in, int out, const int *kernel, const int *stride, const int *padding,
                                   const int *dilation, const int *output_padding, bool bias);
mx_module *mx_pool_layer(bool mean, int k, const int *kernel, const int *stride, const int *padding);
mx_module *mx_dropout_layer(int k, double p); /* k: axes that are dropped together with their channel */
mx_module *mx_sequential_layer(int n, mx_module *const *layers);

/* layers_norm.c */
mx_module *mx_layer_norm_layer(int dims, double eps, bool affine, bool bias);
mx_module *mx_rms_norm_layer(int dims, double eps);
mx_module *mx_instance_norm_layer(int dims, double eps, bool affine);
mx_module *mx_group_norm_layer(int num_groups, int dims, double eps, bool affine, bool neighbours);
mx_module *mx_batch_norm_layer(int num_features, double eps, double momentum, bool affine, bool track_running_stats);

/* layers_attention.c; a dimension of 0 is Python's default */
mx_module *mx_attention_layer(int dims, int num_heads, int query_input_dims, int key_input_dims, int value_input_dims,
                              int value_dims, int value_output_dims, bool bias, bool causal);
mx_module *mx_rope_layer(int dims, bool traditional, double base, double scale);
mx_module *mx_sinusoidal_layer(int dims, double min_freq, double max_freq, double scale, bool cos_first, bool full_turns);
mx_module *mx_alibi_layer(void);

/* layers_transformer.c */
typedef struct mx_transformer_settings {
  int dims, num_heads, mlp_dims; /* mlp_dims 0: four times dims */
  double dropout;
  mx_module *activation; /* borrowed; NULL: relu */
  bool norm_first, causal;
  bool checkpoint;               /* of stacks: the inside of their layers is computed again for gradients */
} mx_transformer_settings;
mx_module *mx_encoder_layer_layer(const mx_transformer_settings *t);
mx_module *mx_decoder_layer_layer(const mx_transformer_settings *t);
mx_module *mx_encoder_layer_stack(int n, const mx_transformer_settings *t);
mx_module *mx_decoder_layer_stack(int n, const mx_transformer_settings *t);
mx_module *mx_transformer_layer(int encoders, int decoders, const mx_transformer_settings *t);

/* layers_more.c */
mx_module *mx_prelu_layer(int num_parameters, double init);
mx_module *mx_upsample_layer(int n, const double *scale, const char *mode, bool align_corners, bool antialias);
mx_module *mx_adaptive_layer(bool mean, int k, const int *size);
mx_module *mx_shuffle_layer(bool inverse, int factor);
mx_module *mx_embedding_bag_layer(int num_embeddings, int dims, const char *mode);
mx_module *mx_weight_norm_layer(mx_module *inner, int axis); /* inner: borrowed, loses its weight */
mx_module *mx_spectral_norm_layer(mx_module *inner, int iterations, double eps);

/* layers_quantized.c; a group size or bits of 0 are the mode's */
mx_module *mx_quantized_linear_layer(int input_dims, int output_dims, bool bias, int group_size, int bits, const char *mode);
mx_module *mx_quantized_linear_like(const mx_layer *layer, int input_dims, int output_dims, bool bias, int group_size, int bits,
                                    const char *mode);
void mx_quantized_linear_describe(const mx_module *m, char *to, size_t room);
mx_array *mx_quantized_product(const mx_module *m, mx_scope *s, mx_array *x); /* without the bias */
mx_module *mx_qq_linear_layer(int input_dims, int output_dims, int group_size, int bits, const char *mode);
mx_module *mx_quantized_embedding_layer(int num_embeddings, int dims, int group_size, int bits, const char *mode);
/* Puts quantized layers in the places of the linear ones and the embeddings below m that are wanted (NULL: all). */
typedef bool mx_wanted(void *payload, const char *path, mx_module *m);
int mx_module_quantize(mx_module *m, int group_size, int bits, const char *mode, mx_wanted *wanted, void *payload);

/* layers_sharded.c; mode NULL: not quantized */
typedef struct mx_team {           /* the processes that share a layer */
  int size;
  mx_array *(*sum)(mx_scope *s, mx_array *x, void *group);
  void *group;
  void (*drop)(void *group);       /* called when the layer goes, also when its constructor fails; may be NULL */
} mx_team;
mx_module *mx_all_to_sharded_layer(int input_dims, int output_dims, bool bias, int group_size, int bits, const char *mode, mx_team team);
mx_module *mx_sharded_to_all_layer(int input_dims, int output_dims, bool bias, int group_size, int bits, const char *mode, mx_team team);

/* layers_recurrent.c */
mx_module *mx_rnn_layer(int input_size, int hidden_size, bool bias);
mx_module *mx_gru_layer(int input_size, int hidden_size, bool bias);
mx_module *mx_lstm_layer(int input_size, int hidden_size, bool bias);

/* What constructors share (layers.c): a parameter drawn or filled, taken from the scope. Nothing happens once the scope has failed. */
void mx_layer_param(mx_module *m, mx_scope *s, const char *name, mx_array *a);
void mx_layer_uniform(mx_module *m, mx_scope *s, const char *name, double limit, const int *shape, int n);
void mx_layer_constant(mx_module *m, mx_scope *s, const char *name, double value, int size);
void mx_layer_child(mx_module *m, mx_scope *s, const char *name, mx_module *child); /* takes child */
/* Ends the scope: the module, or NULL after an error, when it is released. */
mx_module *mx_layer_done(mx_module *m, mx_scope *s);
/* Records an error unless each size is at least `least`. */
bool mx_layer_sizes(const char *tag, int least, int n, const int *sizes);
static inline const char *mx_yes(bool b) { return b ? "True" : "False"; }

#endif
