/* What the builders and the rules of quantized matrices share. */
#ifndef MX_GRAPH_QUANTIZE_H
#define MX_GRAPH_QUANTIZE_H

#include "core/quant.h"
#include "graph/graph.h"

/* Group size and bits that the mode has, or an error. */
int mx_quant_supported(const char *tag, const mx_quant *q);
/* Whether packed w, scales and biases (NULL without) fit each other and x (NULL: not asked) in a product. */
int mx_quant_fits(const char *tag, const mx_quant *q, const mx_array *x, const mx_array *w, const mx_array *scales,
                  const mx_array *biases, bool transpose);
/* Whether the rows of w can be cut into groups. */
int mx_quant_divides(const mx_quant *q, const mx_array *w);
const char *mx_quant_mode_name(int mode);
/* x @ w, or x @ w.T, of arguments that fit; batch dimensions are broadcast. */
mx_array *mx_quant_product(mx_scope *s, const mx_quant *q, mx_array *x, mx_array *w, mx_array *scales, mx_array *biases,
                           bool transpose);
/* part: x, w, scales, biases, each with one batch dimension; lhs and rhs have one shape. */
mx_array *mx_quant_gather(mx_scope *s, const mx_quant *q, mx_array *const part[4], mx_array *lhs, mx_array *rhs, bool transpose);

#endif
