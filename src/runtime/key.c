/* Writing keys. A key holds ops, dtypes, which shapes are equal, which values are single elements, who reads what, what is held, the axes of
 * reductions. Sizes, strides and parameters are bound at each run.
 *
 * First the number of nodes and whether every op stands alone. Per node: op, dtype; stream and number of inputs; of an element-wise op or a
 * reduction the number of its shape, of a reduction the axes; then the inputs, each with dtype and shape where no word before tells them. At the
 * end a byte a node: whether it is held. */
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

static __attribute__((noinline)) uint32_t look_up(const mx_array *a) {
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

static inline uint32_t shape_class(const mx_array *a) {
  return a == last_shape || (last_shape && mx_same_shape(last_shape, a)) ? last_number : look_up(a);
}

/* ---- nodes ---- */

static int32_t uses[MX_KNOWN], refs[MX_PIECE]; /* of a value by others of the piece, of node i by all */

/* Where the tables have what is known of a value. They end somewhere: from MX_KNOWN on, nothing is. */
static inline uint32_t place_of(mx_ref r) { return (r & ~MX_LEAF) + (r >> 31) * MX_PIECE; }

static int more_room(mx_key *k, int words) {
  int cap = (k->n + words) * 2 + 256;
  uint32_t *w = mx_realloc(k->w, (size_t)cap * sizeof *w);
  if (!w) return mx_fail_memory();
  k->w = w;
  k->cap = cap;
  return 0;
}

void mx_key_begin(mx_key *k, bool alone, mx_piece *p, uint32_t mark) {
  shape_stamp++;
  shape_count = 0;
  last_shape = NULL;
  k->n = 1; /* the first word comes last */
  k->nnode = 0;
  k->alone = alone;
  k->piece = p;
  k->mark = mark;
}

static int new_leaf(mx_key *k, mx_array *x) {
  mx_piece *p = k->piece;
  x->walk_mark = k->mark;
  x->walk_index = MX_LEAF | (uint32_t)p->nleaf;
  if (p->nleaf < MX_KNOWN - MX_PIECE) k->class_of[MX_PIECE + p->nleaf] = 0, uses[MX_PIECE + p->nleaf] = 0;
  return mx_piece_push(&p->leaf, &p->nleaf, &p->leaf_cap, p->few_leaves, x);
}

/* The word of an input, and where the op goes element by element (shaped) what no word before tells. *class: the number of its shape. */
static inline uint32_t *put_input(mx_key *k, mx_array *x, uint32_t *w, bool shaped, uint32_t *class) {
  uint32_t r = x->walk_index, place = place_of(r);
  bool listed = place < MX_KNOWN;
  *w++ = r;
  if (listed) uses[place]++;
  *class = listed ? k->class_of[place] : 0;
  if (!shaped || *class) return w;
  *class = shape_class(x);
  if (listed && r & MX_LEAF) k->class_of[place] = *class;
  *w++ = *class | (uint32_t)x->dtype << 24;
  return w;
}

/* All but the words that every node has, which end at w. Where the next word goes; NULL: no memory. */
static __attribute__((noinline)) uint32_t *put_node(mx_key *k, mx_array *n, int i, uint32_t *w) {
  bool reduces = mx_is_reduction(n->op), shaped = reduces || mx_is_elementwise(n->op);
  uint32_t *own = w, first = 0, class;
  w += shaped;
  if (reduces) *w++ = mx_axes_mask(n);
  for (int j = 0; j < n->nin; j++) {
    if (n->in[j]->walk_mark != k->mark && new_leaf(k, n->in[j])) return NULL;
    w = put_input(k, n->in[j], w, shaped, &class);
    if (!j) first = class;
  }
  k->class_of[i] = 0;
  if (shaped) *own = k->class_of[i] = mx_same_shape(n, n->in[0]) ? first : shape_class(n);
  return w;
}

/* The same for two inputs that are known to have one shape, element by element; nothing is done if it is not so. */
static inline bool put_pair(mx_key *k, mx_array *n, int i, uint32_t *w) {
  if (n->nin != 2 || !mx_is_elementwise(n->op)) return false;
  const mx_array *x = n->in[0], *y = n->in[1];
  uint32_t r = x->walk_index, s = y->walk_index, a = place_of(r), b = place_of(s);
  if (x->walk_mark != k->mark || y->walk_mark != k->mark || a >= MX_KNOWN || b >= MX_KNOWN) return false;
  uint32_t class = k->class_of[a];
  if (!class || k->class_of[b] != class) return false;
  uses[a]++;
  uses[b]++;
  w[0] = k->class_of[i] = class;
  w[1] = r;
  w[2] = s;
  return true;
}

int mx_key_node(mx_key *k, mx_array *n) {
  enum { MOST = 6, HELD = MX_PIECE / 4 + 3 };
  int i = k->nnode++, rc = 0, room = MOST + 3 * n->nin + HELD;
  if (k->n + room > k->cap && (rc = more_room(k, room))) return rc;
  uint32_t *w = k->w + k->n;
  w[0] = n->op | (uint32_t)n->dtype << 16;
  w[1] = (uint16_t)n->stream | (uint32_t)n->nin << 16;
  w = put_pair(k, n, i, w + 2) ? w + 5 : put_node(k, n, i, w + 2);
  if (!w) return MX_EMEMORY;
  k->n = (int)(w - k->w);
  uses[i] = 0;
  refs[i] = atomic_load_explicit(&n->refs, memory_order_relaxed);
  n->walk_mark = k->mark;
  n->walk_index = (uint32_t)i;
  return 0;
}

void mx_key_end(mx_key *k, mx_array *const *node, bool keep) {
  int n = k->nnode;
  uint8_t *last = (uint8_t *)(k->w + k->n);
  for (int i = 0; i < n; i++) last[i] = k->held[i] = refs[i] > uses[i] || (keep && (node[i]->flags & MX_TRACER));
  k->n += (n + 3) / 4;
  for (uint8_t *p = last + n; p < (uint8_t *)(k->w + k->n); p++) *p = 0;
  while (k->n % 4) k->w[k->n++] = 0; /* for the hash */
  k->w[0] = (uint32_t)n << 1 | k->alone;
}

static uint64_t fold(uint64_t h, uint64_t a, uint64_t b) {
  unsigned __int128 m = (unsigned __int128)(h ^ a) * (b ^ 0xD6E8FEB86659FD93u);
  return (uint64_t)m ^ (uint64_t)(m >> 64) ^ h << 1;
}

/* Four words a step, by a multiplication whose halves are folded; of long keys four steps at a time that do not wait for each other. */
uint64_t mx_key_hash(const mx_key *k) {
  uint64_t all = 0x9E3779B97F4A7C15u ^ (uint64_t)k->n, w[8];
  int i = 0;
  if (k->n >= 16) {
    uint64_t h[4] = {all, 0xC2B2AE3D27D4EB4Fu, 0x165667B19E3779F9u, 0x27D4EB2F165667C5u};
    for (; i + 16 <= k->n; i += 16) {
      memcpy(w, k->w + i, sizeof w);
      for (int j = 0; j < 4; j++) h[j] = fold(h[j], w[2 * j], w[2 * j + 1]);
    }
    all = fold(h[0] ^ h[2], h[1], h[3]);
  }
  for (; i < k->n; i += 4) {
    memcpy(w, k->w + i, 2 * sizeof *w);
    all = fold(all, w[0], w[1]);
  }
  return all ^ all >> 32;
}
