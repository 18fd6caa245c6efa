/* The interpreter of fused groups, in pieces: a program is bound to its views once a run (bind), then executed tile by tile, a tile being
 * a range of the domain in row order (exec). */
#ifndef MX_CPU_TILE_H
#define MX_CPU_TILE_H

#include "backend/backend.h"
#include "backend/cpu/isa.h"
#include "core/buffer.h"

int mx_cpu_run(const mx_program *g, int ndim, const int32_t *shape, const mx_view *in, const mx_view *out);
int mx_cpu_reduce(const mx_call *c);
int mx_copy_view(const mx_view *in, const mx_view *out);

enum {
  MX_SCRATCH = 112 * 1024, /* bytes of tile registers, on the stack of the thread that runs */
  MX_TILE_MIN = 512,       /* elements */
  MX_TILE_MAX = 2048,
};

/* Where an operand of a tile that starts at element s stands: off + s * scale as an address (memory), where the pointer at scratch + off
 * says (aimed), or scratch + off, where tiles take turns between two places `scale` bytes apart if their content is still to be written
 * out during the next tile. */
enum { MX_IN_SCRATCH, MX_IN_MEMORY, MX_AIMED };
typedef struct mx_ref {
  intptr_t off;
  uint32_t scale;
  uint8_t where;
} mx_ref;

/* An input that is not read in place: its merged dimensions, strides in elements. */
typedef struct mx_loader {
  const char *data;
  uint8_t item, nd, half;  /* bytes an element; half: 0, or 1 + index into mx_isa.halves */
  bool fixed;              /* the same for all tiles: filled once a range */
  bool repeats;            /* one value for a whole row: filled once for the tiles of a row */
  bool cycles;             /* the same row again and again: tiles that begin at the same place of it have the same content */
  bool in_row;             /* by tiles within a row it is read in place */
  uint8_t reg;
  mx_ref to;
  int64_t shape[MX_MAX_NDIM];
  int64_t stride[MX_MAX_NDIM];
} mx_loader;

typedef struct mx_step {
  mx_loop fn, round;       /* round: after f16 and bf16 instructions */
  mx_ref d, a, b, c;
  uint8_t wd, wa, wb, wc;  /* bytes an element */
  bool heavy;
} mx_step;

typedef struct mx_saver { /* an output that no instruction writes itself */
  mx_loop fn;              /* conversion to half, or NULL: copy */
  mx_ref to, from;
  uint8_t item;
} mx_saver;

enum { MX_STREAMS = 4 };
typedef struct mx_streamed { /* an output that is written past the caches, a tile late */
  char *to;
  mx_ref from;
  uint8_t item;
} mx_streamed;

typedef struct mx_bound {
  const mx_isa *isa;
  int n_steps, n_loads, n_saves;
  int tile;                /* largest number of elements of a tile */
  int n_row_steps;
  int64_t cols;            /* a row's length, where tiles within one have steps of their own; else 0 */
  int64_t cut;             /* tiles end where rows of this length do; or 0 */
  int64_t slot;            /* bytes between registers */
  int64_t all;             /* elements of the domain, for streaming */
  bool heavy;
  int n_streams, n_ahead;
  int pieces, piece_lines;         /* of streamed tiles: how many parts a tile's work has, and the lines moved after each */
  mx_streamed streams[MX_STREAMS];
  mx_ref ahead[MX_STREAMS];        /* inputs in memory, fetched a tile ahead */
  mx_ref value[MX_PROGRAM_IO];     /* where a reduced output's values stand after exec */
  mx_saver saves[MX_PROGRAM_IO];
  mx_step steps[MX_PROGRAM_MAX], row_steps[MX_PROGRAM_MAX];
  mx_loader loads[MX_PROGRAM_IO];
} mx_bound;

/* `only`: bit o set: output o is taken part in. tile: largest tile wanted, or 0. */
void mx_tile_bind(mx_bound *b, const mx_program *g, int ndim, const int32_t *shape, const mx_view *in, const mx_view *out,
                  uint32_t only, int tile, bool stream);
/* The largest tile for which the registers of g fit the scratch. */
int mx_tile_room(const mx_program *g);
/* Fills the fixed inputs; once before the tiles of a thread's range. */
void mx_tile_begin(const mx_bound *b, char *scratch);
/* Elements [start, start + n) of the domain; n <= b->tile. */
void mx_tile_exec(const mx_bound *b, char *scratch, int64_t start, int n);

static inline void *mx_tile_at(mx_ref r, char *scratch, int64_t start) {
  if (r.where == MX_AIMED) return *(void **)(void *)(scratch + r.off);
  return (void *)(r.where == MX_IN_MEMORY ? (uintptr_t)r.off + (uintptr_t)start * r.scale : (uintptr_t)scratch + (uintptr_t)r.off);
}
static inline char *mx_tile_turn(mx_ref r, char *scratch, int64_t start, int turn) {
  return (char *)mx_tile_at(r, scratch, start) + (r.where == MX_IN_SCRATCH ? (uint32_t)turn * r.scale : 0);
}

/* What the thread will read after its next programs (soon.c): the backend's `soon`; whether there is any; the lines that go with a piece of
 * work on so many elements. */
void mx_cpu_soon(int n, const void *const *data, const int64_t *bytes, int64_t elements);
bool mx_soon_any(void);
void mx_soon_fetch(int64_t elements);

/* Programs with outputs to reduce (reduce.c). */
int mx_run_reductions(const mx_program *g, int ndim, const int32_t *shape, const mx_view *in, const mx_view *out);

/* n elements of `item` bytes from `start` on (row order) into contiguous memory (tile_load.c). */
void mx_tile_gather(const mx_loader *l, int64_t start, int64_t n, void *to);
bool mx_is_crosswise(const mx_loader *l, int64_t n);
/* Merges dimensions where the strides allow: returns how many are left (0: one element for the whole domain). */
int mx_merge_dims(int ndim, const int32_t *shape, const int64_t *strides, int64_t *out_shape, int64_t *out_stride);

#endif
