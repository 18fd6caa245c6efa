#include "backend/cpu/conv.h"
#include "backend/cpu/fill.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/rows.h"
#include "core/alloc.h"
#include "core/error.h"

void mx_conv_init(mx_conv *g, const int64_t *p, const int32_t *x, const int32_t *w, const int32_t *y) {
  int n = (int)p[0], pad = MX_CONV_DIMS - n;
  const int64_t *stride = p + 1, *low = stride + n, *kernel_dilation = low + 2 * n, *input_dilation = kernel_dilation + n;
  for (int d = 0; d < pad; d++) {
    g->in[d] = g->kernel[d] = g->out[d] = g->stride[d] = g->kernel_dilation[d] = g->input_dilation[d] = 1;
    g->low[d] = 0;
  }
  for (int i = 0; i < n; i++) {
    int d = pad + i;
    g->in[d] = x[1 + i];
    g->kernel[d] = w[1 + i];
    g->out[d] = y[1 + i];
    g->stride[d] = stride[i];
    g->low[d] = low[i];
    g->kernel_dilation[d] = kernel_dilation[i];
    g->input_dilation[d] = input_dilation[i];
  }
  g->groups = input_dilation[n];
  g->flip = input_dilation[n + 1];
  g->batch = x[0];
  g->c = x[n + 1];
  g->o = w[0];
}

void mx_conv_view(const mx_view *v, mx_conv_strides *s) {
  int nd = v->ndim, pad = MX_CONV_DIMS + 2 - nd;
  s->s[0] = v->strides[0];
  for (int d = 0; d < pad; d++) s->s[1 + d] = 0;
  for (int d = 1; d < nd; d++) s->s[pad + d] = v->strides[d];
}

static double load(const mx_view *v, int64_t at) {
  double x;
  mx_load_f64(v->dtype, mx_at(v, at), 1, 1, &x);
  return x;
}

int mx_conv_plain(const mx_call *c) {
  bool to_input = c->op == OP_conv_grad_input, to_weight = c->op == OP_conv_grad_weight;
  const mx_view *x = to_input ? c->out : &c->in[0], *w = to_weight ? c->out : &c->in[1];
  const mx_view *y = to_input ? &c->in[0] : to_weight ? &c->in[1] : c->out, *out = c->out;
  mx_conv g;
  mx_conv_strides sx, sw, sy;
  mx_conv_init(&g, c->p, x->shape, w->shape, y->shape);
  mx_conv_view(x, &sx);
  mx_conv_view(w, &sw);
  mx_conv_view(y, &sy);
  double *sum = mx_calloc((size_t)(out->size ? out->size : 1), sizeof *sum);
  if (!sum) return mx_fail_memory();
  int64_t cg = g.c / g.groups, og = g.o / g.groups, o[3], k[3], i[3];
  for (int64_t n = 0; n < g.batch; n++)
    for (o[0] = 0; o[0] < g.out[0]; o[0]++)
      for (o[1] = 0; o[1] < g.out[1]; o[1]++)
        for (o[2] = 0; o[2] < g.out[2]; o[2]++)
          for (k[0] = 0; k[0] < g.kernel[0]; k[0]++)
            for (k[1] = 0; k[1] < g.kernel[1]; k[1]++)
              for (k[2] = 0; k[2] < g.kernel[2]; k[2]++) {
                int64_t ax = n * sx.s[0], ay = n * sy.s[0], aw = 0;
                bool inside = true;
                for (int d = 0; d < 3; d++) {
                  i[d] = mx_conv_source(&g, d, o[d], k[d]);
                  inside = inside && i[d] >= 0;
                  ax += i[d] * sx.s[1 + d];
                  ay += o[d] * sy.s[1 + d];
                  aw += k[d] * sw.s[1 + d];
                }
                if (!inside) continue;
                for (int64_t co = 0; co < g.o; co++)
                  for (int64_t ci = 0; ci < cg; ci++) {
                    int64_t px = ax + (co / og * cg + ci) * sx.s[4], py = ay + co * sy.s[4];
                    int64_t pw = aw + co * sw.s[0] + ci * sw.s[4];
                    if (to_input) sum[px] += load(y, py) * load(w, pw);
                    else if (to_weight) sum[pw] += load(x, px) * load(y, py);
                    else sum[py] += load(x, px) * load(w, pw);
                  }
              }
  mx_store_f64(out->dtype, sum, out->size, out->data);
  mx_free(sum);
  return 0;
}
