/* scan: a body that runs once for each element, OP_loop. Inputs of the node and of the body come in the same order: carry, elements (stacked
 * in the node), constants; so do results: carry, results (stacked).
 *
 * A loop whose inputs are traced for gradients is built with more results, what the way back needs of each step; its way back is a
 * loop in the other direction. */
#include <string.h>

#include "graph/rules/help.h"
#include "transforms/body.h"
#include "transforms/control.h"

typedef struct mx_loop mx_loop;

/* The way back: carry: cotangents of the carry, sums for constants; elements: hidden results, elements, cotangents of the results;
 * constants; results: cotangents of the elements. */
typedef struct way_back {
  mx_loop *loop;
  int nconst;  /* of the forward loop's constants those that it reads */
  bool want[]; /* of each input of the loop whether it has a cotangent */
} way_back;

struct mx_loop {
  mx_control control;
  mx_body *body;
  int ncarry, nx, nconst, ny; /* of the constants the last are in `extra` */
  int length;
  bool reverse, checkpoint;
  int nhidden;                /* the last results, for the way back only */
  way_back *back;
  mx_list extra;
};

static void loop_destroy(mx_object *o) {
  mx_loop *l = (mx_loop *)o;
  mx_body_release(l->body);
  if (l->back) mx_object_release(&l->back->loop->control.base);
  mx_free(l->back);
  mx_list_clear(&l->extra);
  mx_free(l);
}

static void loop_release(mx_loop *l) {
  if (l) mx_object_release(&l->control.base);
}

static int given(const mx_loop *l) { return l->ncarry + l->nx + l->nconst - l->extra.n; } /* inputs but for the extra ones */
static mx_loop *loop_of(const mx_array *node) { return (mx_loop *)node->object; }

static int loop_run(mx_control *c, mx_array *node, bool may_take);
static mx_array *loop_again(mx_control *c, mx_scope *s, const mx_array *node, mx_array *const *in);

/* Takes the body and the arrays of extra. like gives length, direction and the wish for checkpoints. */
static mx_loop *loop_new(mx_body *body, int ncarry, int nx, const mx_loop *like, mx_list *extra) {
  mx_loop *l = mx_calloc(1, sizeof *l);
  if (!l) {
    mx_body_release(body);
    mx_list_clear(extra);
    mx_fail_memory();
    return NULL;
  }
  *l = (mx_loop){.control = {{1, loop_destroy}, loop_run, loop_again}, .body = body, .ncarry = ncarry, .nx = nx,
                 .nconst = body->nin - ncarry - nx, .ny = body->nout - ncarry, .length = like->length, .reverse = like->reverse,
                 .checkpoint = like->checkpoint, .extra = *extra};
  *extra = (mx_list){0};
  body->fresh = ncarry;
  return l;
}

/* ---- running ---- */

static int give_all(const mx_loop *l, mx_routine *r, mx_array *node, bool may_take) {
  int rc = 0, k = l->ncarry, m = l->nx;
  for (int i = 0; i < k && !rc; i++) rc = mx_body_give(l->body, r, i, node->in[i], may_take, "scan");
  for (int i = k + m; i < l->body->nin && !rc; i++) rc = mx_body_give(l->body, r, i, node->in[i], false, "scan");
  for (int i = k; i < k + m && !rc; i++) {
    const mx_array *x = node->in[i], *e = mx_body_in(l->body, i);
    if (x->ndim != e->ndim + 1 || x->dtype != e->dtype || x->shape[0] != l->length ||
        memcmp(x->shape + 1, e->shape, (size_t)e->ndim * sizeof *e->shape))
      rc = mx_fail(MX_EVALUE, "[scan] Input %d has shape %s, the loop is for %d elements of shape %s.", i, mx_shape_of(x), l->length,
                   mx_shape_of(e));
  }
  return rc;
}

static int make_stacks(const mx_loop *l, mx_array *node) {
  for (int j = 0; j < l->ny; j++) {
    mx_result *y = &node->outs[l->ncarry + j];
    if (!(y->buf = mx_buffer_new((size_t)y->size * mx_dtype_sizes[y->dtype]))) return mx_error_kind();
    y->data = y->buf->ptr;
  }
  return 0;
}

static int one_step(const mx_loop *l, mx_routine *r, mx_array *node, int64_t t) {
  for (int i = l->ncarry; i < l->ncarry + l->nx; i++) {
    const mx_array *x = node->in[i];
    char *at = (char *)x->data + t * x->strides[0] * (int64_t)mx_dtype_sizes[x->dtype];
    mx_routine_give(r, i, at, mx_buffer_retain(x->buf), x->strides + 1);
  }
  for (int j = l->ncarry; j < l->ncarry + l->ny; j++) {
    mx_result *y = &node->outs[j];
    mx_routine_place(r, j, (char *)y->data + t * (int64_t)mx_nbytes(mx_body_out(l->body, j)), y->buf);
  }
  int rc = mx_routine_run(r);
  for (int j = l->ncarry; j < l->ncarry + l->ny && !rc; j++)
    rc = mx_routine_copy_out(r, j, (char *)node->outs[j].data + t * (int64_t)mx_nbytes(mx_body_out(l->body, j)));
  if (!rc) mx_routine_feed(r, l->ncarry);
  return rc;
}

/* The carry is where the next step would read it. Memory of a stack is not kept for it alone. */
static int finish_carry(const mx_loop *l, mx_routine *r, mx_array *node) {
  int rc = 0;
  for (int i = 0; i < l->ncarry && !rc; i++) {
    mx_result *c = &node->outs[i];
    bool shared = false;
    rc = mx_body_carry(r, i, c);
    for (int j = l->ncarry; j < l->ncarry + l->ny; j++) shared |= c->buf && c->buf == node->outs[j].buf;
    if (rc || !shared) continue;
    mx_buffer *own = mx_buffer_new((size_t)c->size * mx_dtype_sizes[c->dtype]);
    if (!own) return mx_error_kind();
    mx_row_strides(c->ndim, c->shape, c->strides); /* as it lies in the stack */
    memcpy(own->ptr, c->data, (size_t)c->size * mx_dtype_sizes[c->dtype]);
    mx_buffer_release(c->buf);
    c->buf = own;
    c->data = own->ptr;
  }
  return rc;
}

static int loop_run(mx_control *c, mx_array *node, bool may_take) {
  mx_loop *l = (mx_loop *)c;
  mx_routine *r = mx_body_begin(l->body, "scan");
  if (!r) return mx_error_kind();
  int rc = give_all(l, r, node, may_take);
  if (!rc) rc = make_stacks(l, node);
  for (int64_t t = 0; t < l->length && !rc; t++) rc = one_step(l, r, node, l->reverse ? l->length - 1 - t : t);
  if (!rc) rc = finish_carry(l, r, node);
  mx_body_end(l->body, r);
  return rc;
}

/* ---- the way back ---- */

/* Whether loops over traced arrays are built with their way back: if a trace is open whose sweep is still to come. Always in the step that a
 * way back is made for, never in that way back. */
static _Thread_local enum { WHEN_TRACED, ALWAYS, NEVER } back_wanted;

static bool wants_back(void) { return back_wanted == ALWAYS || (back_wanted == WHEN_TRACED && mx_tracing > mx_sweeping); }

/* The graphs of one step, forward and back, over stand-ins. */
typedef struct joint {
  mx_scope s;
  const mx_loop *l;
  const bool *want;
  mx_list out;                   /* of the step */
  mx_array **arg;                /* [nin] */
  mx_array **cot;                /* [nout] stand-ins, NULL where there is none */
  mx_array **acc;                /* [nconst] */
  mx_array **src, **grad;        /* [nin] inputs that have a cotangent, and it */
  mx_list root;                  /* results of the step back: cotangents of the carry, sums, cotangents of elements */
  mx_list saved;                 /* what the step back reads of the step */
} joint;

static int joint_begin(joint *j, const mx_loop *l, const bool *want) {
  int n = l->body->nin, nout = l->body->nout;
  *j = (joint){.l = l, .want = want};
  mx_scope_begin(&j->s, mx_default_stream());
  if (!(j->arg = mx_slots_new(3 * n + nout + l->nconst))) return MX_EMEMORY;
  j->src = j->arg + n;
  j->grad = j->src + n;
  j->cot = j->grad + n;
  j->acc = j->cot + nout;
  for (int i = 0; i < n; i++)
    if ((j->arg[i] = mx_body_stand_in(&j->s, mx_body_in(l->body, i)))) j->arg[i]->flags |= MX_TRACER; /* loops inside get their way back too */
  int around = back_wanted;
  back_wanted = ALWAYS;
  int rc = j->s.rc ? j->s.rc : mx_body_build(l->body, j->arg, &j->out);
  back_wanted = around;
  for (int i = 0; i < nout && !rc; i++)
    if (mx_has_slope(j->out.at[i])) j->cot[i] = mx_body_stand_in(&j->s, j->out.at[i]);
  return rc ? rc : j->s.rc;
}

static int joint_end(joint *j, int rc) {
  mx_list_clear(&j->out);
  mx_list_clear(&j->root);
  mx_list_clear(&j->saved);
  mx_free(j->arg);
  int end = mx_scope_end(&j->s);
  return rc ? rc : end;
}

/* Of the carry every inexact part has a cotangent, of other inputs those that are wanted. */
static bool has_cotangent(const mx_loop *l, const bool *want, int i) {
  return mx_has_slope(mx_body_in(l->body, i)) && (i < l->ncarry || (i < given(l) && want[i]));
}

static int build_back(joint *j) {
  const mx_loop *l = j->l;
  int nsrc = 0, rc, end = l->ncarry + l->nx;
  for (int i = 0; i < l->body->nin; i++)
    if (has_cotangent(l, j->want, i)) j->src[nsrc++] = j->arg[i];
  int around = back_wanted;
  back_wanted = NEVER;
  rc = mx_pull_back(&j->s, nsrc, j->src, j->out.n, j->out.at, MX_PLACEHOLDER, j->cot, j->grad);
  back_wanted = around;
  if (rc) return rc;
  mx_array **back = mx_slots_new(l->body->nin);
  if (!back) return MX_EMEMORY;
  for (int i = 0, k = 0; i < l->body->nin; i++) {
    if (!has_cotangent(l, j->want, i)) continue;
    mx_array *g = j->grad[k++];
    if (i >= end) {
      mx_array *sum = j->acc[i - end] = mx_body_stand_in(&j->s, j->arg[i]);
      back[i] = g ? mx_add(&j->s, sum, g) : sum;
    } else back[i] = g ? g : mx_zeros_like(&j->s, j->arg[i]);
  }
  rc = j->s.rc;
  for (int i = 0; i < l->ncarry && !rc; i++)
    if (back[i]) rc = mx_list_push(&j->root, back[i]);
  for (int i = end; i < l->body->nin && !rc; i++)
    if (back[i]) rc = mx_list_push(&j->root, back[i]);
  for (int i = l->ncarry; i < end && !rc; i++)
    if (back[i]) rc = mx_list_push(&j->root, back[i]);
  mx_free(back);
  return rc;
}

/* ---- what to save ---- */

static int push_given(mx_list *to, int n, mx_array *const *at) {
  int rc = 0;
  for (int i = 0; i < n && !rc; i++)
    if (at[i]) rc = mx_list_push(to, at[i]);
  return rc;
}

/* The values of the step that the step back reads: what it does not make from cotangents. */
static int find_read(joint *j, mx_list *read) {
  const mx_loop *l = j->l;
  mx_list src = {0};
  mx_tape t;
  int rc = push_given(&src, j->out.n, j->cot);
  if (!rc) rc = push_given(&src, l->nconst, j->acc);
  if (!rc && !(rc = mx_tape_build(&t, src.n, src.at, j->root.n, j->root.at, MX_PLACEHOLDER, mx_follow_all, 0, NULL))) {
    mx_replay *r = NULL;
    rc = mx_replay_from_tape(&r, &t, j->root.n, j->root.at, MX_PLACEHOLDER, read);
    if (!rc) mx_replay_release(r);
    mx_tape_clear(&t);
  }
  mx_list_clear(&src);
  return rc;
}

static int index_of(int n, mx_array *const *at, const mx_array *a) {
  for (int i = 0; i < n; i++)
    if (at[i] == a) return i;
  return -1;
}

/* Views are made again from what they show. */
static mx_array *behind_views(mx_array *a) {
  while (a->nin == 1 && a->op != OP_pick && mx_ops[a->op].kind == MX_VIEW) a = a->in[0];
  return a;
}

/* Elements and constants are there anyway, and what depends on constants alone is computed again. */
static int choose_saved(joint *j, const mx_list *read) {
  const mx_loop *l = j->l;
  int moving = l->ncarry + l->nx, rc = 0;
  mx_tape t;
  if (l->checkpoint) { /* all from the carry */
    return push_given(&j->saved, l->ncarry, j->arg);
  }
  if ((rc = mx_tape_build(&t, moving, j->arg, read->n, read->at, MX_PLACEHOLDER, mx_follow_all, 0, NULL))) return rc;
  for (int i = 0; i < read->n && !rc; i++) {
    mx_array *v = behind_views(read->at[i]);
    if (mx_tape_slot(&t, read->at[i]) < 0) continue;
    int at = index_of(l->body->nin, j->arg, v);
    if (at >= l->ncarry || index_of(j->saved.n, j->saved.at, v) >= 0) continue;
    rc = mx_list_push(&j->saved, v);
  }
  mx_tape_clear(&t);
  return rc;
}

/* ---- the two loops ---- */

static int forward_loop(joint *j, mx_loop **res) {
  const mx_loop *l = j->l;
  mx_list out = {0}, extra = {0};
  mx_body *body = NULL;
  int rc = push_given(&out, j->out.n, j->out.at);
  if (!rc) rc = push_given(&out, j->saved.n, j->saved.at);
  for (int i = 0; i < l->extra.n && !rc; i++) rc = mx_list_push(&extra, l->extra.at[i]);
  if (!rc) rc = mx_body_new(&body, l->body->nin, j->arg, out.n, out.at, &extra);
  if (!rc && !(*res = loop_new(body, l->ncarry, l->nx, l, &extra))) rc = MX_EMEMORY;
  if (!rc) (*res)->nhidden = j->saved.n;
  mx_list_clear(&out);
  mx_list_clear(&extra);
  return rc;
}

static int backward_loop(joint *j, mx_loop **res) {
  const mx_loop *l = j->l;
  mx_list src = {0}, extra = {0};
  mx_body *body = NULL;
  int rc = push_given(&src, l->ncarry, j->cot);
  if (!rc) rc = push_given(&src, l->nconst, j->acc);
  int ncarry = src.n;
  if (!rc) rc = push_given(&src, j->saved.n, j->saved.at);
  if (!rc) rc = push_given(&src, l->nx, j->arg + l->ncarry);
  if (!rc) rc = push_given(&src, l->ny, j->cot + l->ncarry);
  int nx = src.n - ncarry;
  if (!rc) rc = push_given(&src, l->nconst, j->arg + l->ncarry + l->nx);
  if (!rc) rc = mx_body_new(&body, src.n, src.at, j->root.n, j->root.at, &extra);
  if (!rc && !(*res = loop_new(body, ncarry, nx, l, &extra))) rc = MX_EMEMORY;
  if (!rc) (*res)->reverse = !l->reverse;
  mx_list_clear(&src);
  mx_list_clear(&extra);
  return rc;
}

/* The loop with what its way back needs. want: of each input but the extra ones. */
static int with_way_back(const mx_loop *l, const bool *want, mx_loop **res) {
  joint j;
  mx_list read = {0};
  mx_loop *forward = NULL, *backward = NULL;
  int rc = joint_begin(&j, l, want);
  if (!rc) rc = build_back(&j);
  if (!rc) rc = find_read(&j, &read);
  if (!rc) rc = choose_saved(&j, &read);
  if (!rc) rc = forward_loop(&j, &forward);
  if (!rc) rc = backward_loop(&j, &backward);
  way_back *back = rc ? NULL : mx_malloc(sizeof *back + (size_t)l->body->nin * sizeof *want);
  if (!rc && !back) rc = mx_fail_memory();
  if (!rc) {
    back->loop = backward;
    back->nconst = l->nconst;
    if (given(l)) memcpy(back->want, want, (size_t)given(l) * sizeof *want);
    forward->back = back;
    *res = forward;
  } else {
    loop_release(forward);
    loop_release(backward);
  }
  mx_list_clear(&read);
  return joint_end(&j, rc);
}

/* ---- nodes ---- */

/* The tuple of a loop over its first n inputs; the rest are extra ones. */
static mx_array *plain_node(mx_scope *s, mx_loop *l, int n, mx_array *const *in) {
  int nin = l->body->nin, first = given(l);
  mx_array **all = mx_slots_new(nin);
  if (!all) return mx_scope_error(s, MX_EMEMORY);
  if (n) memcpy(all, in, (size_t)n * sizeof *all);
  for (int i = n; i < nin; i++) all[i] = l->extra.at[i - first];
  mx_array *t = mx_control_node(s, OP_loop, nin, all, l->body->nout, l->body->like + nin, l->ncarry, l->length, &l->control);
  mx_free(all);
  return t;
}

/* With a way back if a gradient may be asked for: unless something in the body has none, which whoever asks will hear. */
static mx_array *loop_node(mx_scope *s, mx_loop *l, int n, mx_array *const *in) {
  bool any = false, *want = NULL;
  if (!l->back && !s->rc && wants_back()) {
    if (!(want = mx_malloc((size_t)given(l) + 1))) return mx_scope_error(s, mx_fail_memory());
    for (int i = 0; i < given(l); i++) any |= want[i] = in[i] && (in[i]->flags & MX_TRACER) && mx_has_slope(in[i]);
  }
  mx_loop *more = NULL;
  int rc = any ? with_way_back(l, want, &more) : 0;
  mx_free(want);
  if (rc == MX_ECALLBACK) return mx_scope_error(s, rc);
  if (rc) mx_error_clear();
  mx_array *t = plain_node(s, more ? more : l, n, in);
  loop_release(more);
  return t;
}

static int check_carry(const mx_body *b, int ncarry);

/* The loop for inputs of other shapes, retained. What it had for its way back is made anew. */
static mx_loop *loop_for(mx_loop *l, mx_scope *s, mx_array *const *in) {
  int n = l->body->nin, from = l->ncarry, to = from + l->nx;
  bool same = true;
  for (int i = 0; i < n && same; i++) {
    const mx_array *x = in[i], *e = mx_body_in(l->body, i);
    same = x->dtype == e->dtype && (i < from || i >= to ? mx_same_shape(x, e)
                                                        : x->ndim == e->ndim + 1 && x->shape[0] == l->length &&
                                                              !memcmp(x->shape + 1, e->shape, (size_t)e->ndim * sizeof *e->shape));
  }
  if (same) return mx_object_retain(&l->control.base);
  mx_array **like = mx_slots_new(n);
  mx_body *body = NULL;
  mx_loop *more = NULL, how = *l;
  mx_list none = {0};
  bool fits = like != NULL;
  for (int i = 0; i < n && fits; i++) {
    like[i] = in[i];
    if (i < from || i >= to) continue;
    if (!(fits = in[i]->ndim && in[i]->shape[0] == in[from]->shape[0]))
      mx_fail(MX_EVALUE, "[scan] Array %d to go through has shape %s, its length should be that of the first.", i - from, mx_shape_of(in[i]));
    else fits = (like[i] = mx_placeholder(s, (mx_dtype)in[i]->dtype, in[i]->ndim - 1, in[i]->shape + 1)) != NULL;
  }
  if (l->nx && fits) how.length = in[from]->shape[0];
  if (fits && (body = mx_body_refit(l->body, like, "scan"))) {
    if (check_carry(body, l->ncarry)) mx_body_release(body);
    else more = loop_new(body, l->ncarry, l->nx, &how, &none);
  }
  mx_free(like);
  return more;
}

static mx_array *loop_again(mx_control *c, mx_scope *s, const mx_array *node, mx_array *const *in) {
  mx_stream outer = s->stream;
  s->stream = node->stream;
  mx_loop *l = loop_for((mx_loop *)c, s, in);
  mx_array *t = l ? loop_node(s, l, node->nin, in) : mx_scope_error(s, mx_error_kind());
  loop_release(l);
  s->stream = outer;
  return t;
}

/* ---- rules ---- */

/* A node that gives what the way back needs for these wishes: the node itself, or one that computes the loop again. */
static const mx_array *node_with_back(mx_scope *s, const mx_array *node, mx_array *const *cot, const bool *want, mx_loop **own) {
  mx_loop *l = loop_of(node), *more = NULL;
  bool fits = l->back != NULL;
  for (int i = 0; i < given(l) && fits; i++) fits = !has_cotangent(l, want, i) || i < l->ncarry || l->back->want[i];
  for (int i = l->body->nout - l->nhidden; i < l->body->nout; i++) fits &= !cot[i];
  *own = NULL;
  if (fits) return node;
  mx_loop all = *l; /* the hidden results as results */
  all.back = NULL;
  all.nhidden = 0;
  int rc = with_way_back(&all, want, &more);
  if (rc) return mx_scope_error(s, rc);
  *own = more;
  return plain_node(s, more, node->nin, node->in);
}

static mx_array *cotangent(mx_scope *s, mx_array *cot, mx_array *out) { return cot ? mx_astype(s, cot, (mx_dtype)out->dtype) : mx_zeros_like(s, out); }

/* The inputs of the way back. */
static int inputs_back(mx_scope *s, const mx_array *node, mx_array *const *out, mx_array *const *cot, mx_list *in) {
  const mx_loop *l = loop_of(node);
  int k = l->ncarry, m = l->nx, shown = l->body->nout - l->nhidden, rc = 0;
  for (int i = 0; i < k && !rc; i++)
    if (mx_has_slope(out[i])) rc = mx_list_push(in, cotangent(s, cot[i], out[i]));
  for (int i = k + m; i < given(l) && !rc; i++)
    if (has_cotangent(l, l->back->want, i)) rc = mx_list_push(in, mx_zeros_like(s, node->in[i]));
  for (int i = shown; i < l->body->nout && !rc; i++) rc = mx_list_push(in, mx_pick(s, (mx_array *)node, i));
  for (int i = k; i < k + m && !rc; i++) rc = mx_list_push(in, node->in[i]);
  for (int i = k; i < shown && !rc; i++)
    if (mx_has_slope(out[i])) rc = mx_list_push(in, cotangent(s, cot[i], out[i]));
  for (int i = k + m; i < k + m + l->back->nconst && !rc; i++) rc = mx_list_push(in, node->in[i]);
  return rc ? rc : s->rc;
}

int vjp_loop(mx_scope *s, const mx_array *node, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res) {
  mx_loop *own;
  int given_in = given(loop_of(node));
  const mx_array *full = node_with_back(s, node, cot, want, &own);
  if (!full) return s->rc;
  const mx_loop *l = loop_of(full);
  mx_list in = {0};
  int rc = inputs_back(s, full, out, cot, &in), at = 0;
  mx_array *t = rc ? NULL : loop_node(s, l->back->loop, in.n, in.at);
  for (int i = 0; i < l->ncarry && t; i++)
    if (has_cotangent(l, l->back->want, i)) res[i] = mx_pick(s, t, at++);
  for (int i = l->ncarry + l->nx; i < given_in && t; i++)
    if (has_cotangent(l, l->back->want, i)) res[i] = mx_pick(s, t, at++);
  for (int i = l->ncarry; i < l->ncarry + l->nx && t; i++)
    if (has_cotangent(l, l->back->want, i)) res[i] = mx_pick(s, t, at++);
  mx_list_clear(&in);
  loop_release(own);
  return rc ? rc : s->rc;
}

/* Tangents follow what they belong to: carry, elements, constants. */
int jvp_loop(mx_scope *s, const mx_array *node, mx_array *const *out, mx_array *const *tan, mx_array **res) {
  mx_loop *l = loop_of(node), *both = NULL;
  int n = node->nin, nout = l->body->nout, rc = 0, nsrc = 0, k = l->ncarry, ncarry = 0, nx = 0;
  mx_list src = {0}, in = {0}, outs = {0}, all = {0}, extra = {0};
  mx_scope j;
  mx_scope_begin(&j, s->stream);
  mx_array **arg = mx_slots_new(4 * n + nout), **active = mx_slots_from(arg, n), **dot = mx_slots_from(active, n), **slope = mx_slots_from(dot, n);
  if (!arg) rc = MX_EMEMORY;
  for (int i = 0; i < n && !rc; i++)
    if (!(arg[i] = mx_body_stand_in(&j, mx_body_in(l->body, i)))) rc = j.rc;
  if (!rc) rc = mx_body_build(l->body, arg, &outs);
  for (int part = 0; part < 3 && !rc; part++) {
    int from = part == 0 ? 0 : part == 1 ? k : k + l->nx, to = part == 0 ? k : part == 1 ? k + l->nx : n;
    for (int i = from; i < to && !rc; i++) rc = mx_list_push(&src, arg[i]) || mx_list_push(&in, node->in[i]) ? MX_EMEMORY : 0;
    for (int i = from; i < to && !rc; i++) {
      if (!mx_has_slope(arg[i]) || (!tan[i] && part)) continue;
      active[nsrc] = arg[i];
      dot[nsrc] = mx_body_stand_in(&j, arg[i]);
      rc = mx_list_push(&src, dot[nsrc++]);
      if (!rc) rc = mx_list_push(&in, tan[i] ? tan[i] : mx_zeros_like(s, node->in[i]));
    }
    if (part == 0) ncarry = src.n;
    if (part == 1) nx = src.n - ncarry;
  }
  if (!rc) rc = s->rc ? s->rc : j.rc ? j.rc : mx_push_forward(&j, nsrc, active, dot, nout, outs.at, slope);
  for (int part = 0; part < 2 && !rc; part++) {
    for (int i = part ? k : 0; i < (part ? nout : k) && !rc; i++) rc = mx_list_push(&all, outs.at[i]);
    for (int i = part ? k : 0; i < (part ? nout : k) && !rc; i++)
      if (mx_has_slope(outs.at[i])) rc = mx_list_push(&all, slope[i] ? slope[i] : mx_zeros_like(&j, outs.at[i]));
  }
  mx_body *body = NULL;
  if (!rc) rc = j.rc ? j.rc : mx_body_new(&body, src.n, src.at, all.n, all.at, &extra);
  if (!rc && !(both = loop_new(body, ncarry, nx, l, &extra))) rc = MX_EMEMORY;
  mx_array *t = rc ? NULL : loop_node(s, both, in.n, in.at);
  for (int i = 0, at = k; i < k && t; i++)
    if (mx_has_slope(out[i])) res[i] = mx_pick(s, t, at++);
  for (int i = k, at = ncarry + l->ny; i < nout && t; i++)
    if (mx_has_slope(out[i])) res[i] = mx_pick(s, t, at++);
  loop_release(both);
  mx_list_clear(&src);
  mx_list_clear(&in);
  mx_list_clear(&outs);
  mx_list_clear(&all);
  mx_list_clear(&extra);
  mx_free(arg);
  int end = mx_scope_end(&j);
  return rc ? rc : end ? end : s->rc;
}

/* Which parts of the carry get an extra axis: those that do at first, and those that come to depend on one. */
static int spread_carry(const mx_loop *l, bool *mapped, bool *out) {
  for (bool more = true; more;) {
    int rc = mx_body_spread(l->body, mapped, out);
    if (rc) return rc;
    more = false;
    for (int i = 0; i < l->ncarry; i++) {
      more |= out[i] && !mapped[i];
      mapped[i] |= out[i];
    }
  }
  for (int i = 0; i < l->ncarry; i++) out[i] = mapped[i];
  return 0;
}

int vmap_loop(mx_scope *s, const mx_array *node, mx_array *const *in, const int *ax, mx_array **res, int *res_ax) {
  mx_loop *l = loop_of(node), *wide = NULL;
  int n = node->nin, nout = l->body->nout, rc = 0, size = mx_batch_size(node, in, ax), k = l->ncarry, m = l->nx;
  mx_list out = {0}, extra = {0};
  mx_body *body = NULL;
  mx_scope j;
  mx_scope_begin(&j, s->stream);
  mx_array **arg = mx_slots_new(3 * n + nout), **full = mx_slots_from(arg, n);
  bool *mapped = (bool *)mx_slots_from(full, n), *mapped_out = mapped ? mapped + n : NULL;
  if (!arg) rc = MX_EMEMORY;
  for (int i = 0; i < n && !rc; i++) mapped[i] = ax[i] >= 0;
  if (!rc) rc = spread_carry(l, mapped, mapped_out);
  for (int i = 0; i < n && !rc; i++) {
    const mx_array *like = mx_body_in(l->body, i);
    arg[i] = mapped[i] ? mx_body_batched(&j, like, size) : mx_body_stand_in(&j, like);
    full[i] = i < k && mapped[i] ? mx_full_front(s, in[i], ax[i], size) : i < k + m && mapped[i] ? mx_moveaxis(s, in[i], ax[i], 1)
                                                                                             : mx_front(s, in[i], ax[i]);
    rc = j.rc ? j.rc : s->rc;
  }
  if (!rc) rc = mx_body_batch(&j, l->body, arg, mapped, mapped_out, &out);
  if (!rc) rc = mx_body_new(&body, n, arg, out.n, out.at, &extra);
  if (!rc && !(wide = loop_new(body, k, m, l, &extra))) rc = MX_EMEMORY;
  mx_array *t = rc ? NULL : loop_node(s, wide, n, full);
  for (int i = 0; i < nout && t; i++) {
    res[i] = mx_pick(s, t, i);
    res_ax[i] = !mapped_out[i] ? -1 : i < k ? 0 : 1;
  }
  loop_release(wide);
  mx_list_clear(&out);
  mx_list_clear(&extra);
  mx_free(arg);
  int end = mx_scope_end(&j);
  return rc ? rc : end ? end : s->rc;
}

/* ---- the function ---- */

static int find_length(int nx, mx_array *const *xs, int64_t *length) {
  for (int i = 0; i < nx; i++) {
    if (!xs[i]->ndim) return mx_fail(MX_EVALUE, "[scan] Array %d to go through has no axis.", i);
    if (*length < 0) *length = xs[i]->shape[0];
    if (xs[i]->shape[0] != *length)
      return mx_fail(MX_EVALUE, "[scan] Array %d to go through has length %d, expected %lld.", i, xs[i]->shape[0], (long long)*length);
  }
  if (*length < 0) return mx_fail(MX_EVALUE, "[scan] Without arrays to go through a length is needed.");
  return *length > MX_MAX_DIM ? mx_fail(MX_EVALUE, "[scan] A length of %lld is too large.", (long long)*length) : 0;
}

static int check_carry(const mx_body *b, int ncarry) {
  if (b->nout < ncarry) return mx_fail(MX_EVALUE, "[scan] The function gave %d arrays, the carry alone has %d.", b->nout, ncarry);
  if (!b->nout) return mx_fail(MX_EVALUE, "[scan] There is neither a carry nor a result.");
  for (int i = 0; i < ncarry; i++) {
    const mx_array *from = mx_body_in(b, i), *to = mx_body_out(b, i);
    if (from->dtype != to->dtype || !mx_same_shape(from, to))
      return mx_fail(MX_EVALUE, "[scan] The carry must keep its shapes and dtypes: its array %d went in with shape %s and dtype %s and came out with shape "
                                "%s and dtype %s.", i, mx_shape_of(from), mx_dtype_name((mx_dtype)from->dtype), mx_shape_of(to),
                     mx_dtype_name((mx_dtype)to->dtype));
  }
  return 0;
}

static int trace_step(mx_closure *f, int ncarry, mx_array *const *init, int nx, mx_array *const *xs, mx_body **body, mx_list *captured) {
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_array **like = mx_slots_new(ncarry + nx);
  int rc = like ? 0 : MX_EMEMORY;
  for (int i = 0; i < ncarry && !rc; i++) like[i] = init[i];
  for (int i = 0; i < nx && !rc; i++)
    if (!(like[ncarry + i] = mx_placeholder(&s, (mx_dtype)xs[i]->dtype, xs[i]->ndim - 1, xs[i]->shape + 1))) rc = s.rc;
  if (!rc) rc = mx_body_trace(body, f, ncarry + nx, like, captured);
  mx_free(like);
  int end = mx_scope_end(&s);
  return rc ? rc : end;
}

int mx_scan_loop(mx_closure *f, int ncarry, mx_array *const *init, int nx, mx_array *const *xs, int64_t length, bool reverse, bool checkpoint,
                 mx_list *carry, mx_list *ys) {
  mx_list in = {0}, captured = {0}, none = {0};
  mx_body *body = NULL;
  mx_loop *l = NULL;
  int rc = find_length(nx, xs, &length);
  if (!rc) rc = trace_step(f, ncarry, init, nx, xs, &body, &captured);
  if (!rc && (rc = check_carry(body, ncarry))) mx_body_release(body);
  if (!rc && !(l = loop_new(body, ncarry, nx, &(mx_loop){.length = (int)length, .reverse = reverse, .checkpoint = checkpoint}, &none)))
    rc = MX_EMEMORY;
  if (!rc) rc = push_given(&in, ncarry, init);
  if (!rc) rc = push_given(&in, nx, xs);
  if (!rc) rc = push_given(&in, captured.n, captured.at);
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_array *t = rc ? NULL : loop_node(&s, l, in.n, in.at);
  for (int i = 0; t && i < ncarry + l->ny && !rc; i++) {
    mx_array *y = mx_pick(&s, t, i);
    rc = y ? mx_list_push(i < ncarry ? carry : ys, y) : s.rc;
  }
  loop_release(l);
  mx_list_clear(&in);
  mx_list_clear(&captured);
  int end = mx_scope_end(&s);
  return rc ? rc : end;
}

/* ---- as data ---- */

void mx_loop_take_apart(const mx_array *node, mx_control_parts *parts) {
  const mx_loop *l = loop_of(node);
  parts->number[0] = l->ncarry;
  parts->number[1] = l->nx;
  parts->number[2] = l->length;
  parts->number[3] = l->reverse + 2 * l->checkpoint;
  parts->body[0] = l->body;
}

static int check_parts(const mx_control_parts *p, int nin, mx_array *const *in) {
  const mx_body *b = p->body[0];
  int64_t ncarry = p->number[0], nx = p->number[1], length = p->number[2];
  if (b->nin != nin || ncarry < 0 || nx < 0 || ncarry > nin || nx > nin - ncarry || length < 0 || length > MX_MAX_DIM || p->number[3] < 0 || p->number[3] > 3)
    return mx_fail(MX_EVALUE, "[scan] %d inputs, a carry of %lld, %lld arrays to go through, %lld steps: these do not go together.", nin, (long long)ncarry,
                   (long long)nx, (long long)length);
  int rc = check_carry(b, (int)ncarry);
  for (int i = 0; i < nin && !rc; i++) {
    const mx_array *x = in[i], *e = mx_body_in(b, i);
    if (i < ncarry || i >= ncarry + nx) rc = mx_check_same("scan", "Input", i, x, e);
    else if (x->dtype != e->dtype || x->ndim != e->ndim + 1 || x->shape[0] != length || memcmp(x->shape + 1, e->shape, (size_t)e->ndim * sizeof *e->shape))
      rc = mx_fail(MX_EVALUE, "[scan] Input %d has shape %s, the loop is for %lld elements of shape %s.", i, mx_shape_of(x), (long long)length, mx_shape_of(e));
  }
  return rc;
}

mx_array *mx_loop_put_together(mx_scope *s, const mx_control_parts *p, int nin, mx_array *const *in) {
  mx_list none = {0};
  int rc = check_parts(p, nin, in);
  if (rc) return mx_scope_error(s, rc);
  mx_loop *l = loop_new(mx_body_retain(p->body[0]), (int)p->number[0], (int)p->number[1],
                        &(mx_loop){.length = (int)p->number[2], .reverse = p->number[3] & 1, .checkpoint = p->number[3] & 2}, &none);
  if (!l) return mx_scope_error(s, MX_EMEMORY);
  mx_array *t = plain_node(s, l, nin, in);
  loop_release(l);
  return t;
}
