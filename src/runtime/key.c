/* Writing keys. A key holds ops, dtypes, which shapes are equal, which values are single elements, who reads what, what is held, the axes of
 * reductions. Sizes, strides and parameters are bound at each run.
 *
 * First whether every op stands alone. Per node: op, dtype, held; stream and number of inputs; of an element-wise op or a reduction the number
 * of its shape, of a reduction the axes; then the inputs, each with dtype and shape where no word before tells them. */
#include "runtime/key.h"

#include <string.h>

#include "core/alloc.h"
#include "core/error.h"
#include "graph/graph.h"

/* ---- shapes of a piece get numbers in the order in which they are first seen: a hash table of representatives ---- */

enum { SHAPE_SLOTS = 8192 };
static struct {
  const mx_array *shape;
  uint32_t stamp, number;
} shapes[SHAPE_SLOTS];
static uint32_t shape_stamp, shape_count;

static const mx_array *last_shape; /* the latest answer, which is most often right again */
static uint32_t last_number;

static uint32_t look_up(const mx_array *a) {
  last_shape = a;
  uint32_t h = a->ndim;
  for (int i = 0; i < a->ndim; i++) h = (h ^ (uint32_t)a->shape[i]) * 0x9E3779B1u;
  for (uint32_t k = h >> 19;; k = (k + 1) & (SHAPE_SLOTS - 1)) {
    if (shapes[k].stamp != shape_stamp) {
      shapes[k].shape = a;
      shapes[k].stamp = shape_stamp;
      return last_number = shapes[k].number = ++shape_count << 1 | (a->size == 1 ? MX_SHAPE_ONE : 0);
    }
    if (mx_same_shape(shapes[k].shape, a)) return last_number = shapes[k].number;
  }
}

static inline uint32_t shape_class(const mx_array *a) { return last_shape && mx_same_shape(last_shape, a) ? last_number : look_up(a); }

/* ---- nodes ---- */

static int32_t uses[MX_PIECE], refs[MX_PIECE], at[MX_PIECE]; /* of node i: by others of the piece, by all; its first word */

static int more_room(mx_key *k, int words) {
  int cap = (k->n + words) * 2 + 256;
  uint32_t *w = mx_realloc(k->w, (size_t)cap * sizeof *w);
  if (!w) return mx_fail_memory();
  k->w = w;
  k->cap = cap;
  return 0;
}

void mx_key_begin(mx_key *k, bool alone) {
  shape_stamp++;
  shape_count = 0;
  last_shape = NULL;
  k->n = 0;
  k->nnode = 0;
  k->alone = alone;
}

static int new_leaf(mx_piece *p, mx_array *x, uint32_t mark) {
  x->walk_mark = mark;
  x->walk_index = MX_LEAF | (uint32_t)p->nleaf;
  return mx_piece_push(&p->leaf, &p->nleaf, &p->leaf_cap, p->few_leaves, x);
}

int mx_key_node(mx_key *k, mx_piece *p, mx_array *n, uint32_t mark) {
  int i = k->nnode++, rc = 0;
  if (k->n + 6 + 3 * n->nin > k->cap && (rc = more_room(k, 6 + 3 * n->nin))) return rc;
  uint32_t *w = k->w + k->n;
  if (!i) *w++ = k->alone;
  bool reduces = mx_is_reduction(n->op), shaped = reduces || mx_is_elementwise(n->op);
  at[i] = (int32_t)(w - k->w);
  w[0] = n->op | (uint32_t)n->dtype << 16;
  w[1] = (uint16_t)n->stream | (uint32_t)n->nin << 16;
  uint32_t *class = w + 2, first = 0;
  w += shaped ? 3 : 2;
  if (reduces) *w++ = mx_axes_mask(n);
  for (int j = 0; j < n->nin; j++) {
    mx_array *x = n->in[j];
    if (x->walk_mark != mark && (rc = new_leaf(p, x, mark))) return rc;
    uint32_t r = x->walk_index, known = 0;
    *w++ = r;
    if (!(r & MX_LEAF)) {
      uses[r]++;
      known = k->class_of[r];
    }
    if (shaped && !known) {
      known = shape_class(x);
      *w++ = known | (uint32_t)x->dtype << 24;
    }
    if (!j) first = known;
  }
  k->class_of[i] = 0;
  if (shaped) *class = k->class_of[i] = mx_same_shape(n, n->in[0]) ? first : shape_class(n);
  k->n = (int)(w - k->w);
  uses[i] = 0;
  refs[i] = atomic_load_explicit(&n->refs, memory_order_relaxed);
  n->walk_mark = mark;
  n->walk_index = (uint32_t)i;
  return 0;
}

void mx_key_end(mx_key *k, mx_array *const *node, bool keep) {
  for (int i = 0; i < k->nnode; i++) k->held[i] = refs[i] > uses[i] || (keep && (node[i]->flags & MX_TRACER));
  for (int i = 0; i < k->nnode; i++) k->w[at[i]] |= (uint32_t)k->held[i] << 24;
}

static uint64_t fold(uint64_t h, uint64_t a, uint64_t b) {
  unsigned __int128 m = (unsigned __int128)(h ^ a) * (b ^ 0xD6E8FEB86659FD93u);
  return (uint64_t)m ^ (uint64_t)(m >> 64) ^ h << 1;
}

/* Four words a step, by a multiplication whose halves are folded. */
uint64_t mx_key_hash(const mx_key *k) {
  uint64_t h = 0x9E3779B97F4A7C15u ^ (uint64_t)k->n, w[2];
  int i = 0;
  for (; i + 4 <= k->n; i += 4) {
    memcpy(w, k->w + i, sizeof w);
    h = fold(h, w[0], w[1]);
  }
  if (i < k->n) {
    w[0] = w[1] = 0;
    memcpy(w, k->w + i, (size_t)(k->n - i) * sizeof *k->w);
    h = fold(h, w[0], w[1]);
  }
  return h ^ h >> 32;
}
