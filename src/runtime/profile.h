/* Seeing inside: what runs is told to profiles, to the trace and to the check for NaN. While nobody looks, a run reads mx_watching
 * once. */
#ifndef MX_RUNTIME_PROFILE_H
#define MX_RUNTIME_PROFILE_H

#include "runtime/plan.h"

enum { MX_WATCH_TIMES = 1, MX_WATCH_NAN = 2, MX_WATCH_INF = 4 };
extern _Atomic uint32_t mx_watching;
static inline uint32_t mx_watched(void) { return atomic_load_explicit(&mx_watching, memory_order_relaxed); }

/* ---- told by the runtime ---- */

typedef struct mx_watch_start {
  double begin; /* seconds */
  double inner; /* what this thread has spent in watched steps before */
} mx_watch_start;
void mx_watch_begin(mx_watch_start *start);
/* A step has run; its nodes still have their inputs. */
void mx_watch_step(const mx_watch_start *start, const mx_step *s, const mx_piece *p);
void mx_watch_planned(const mx_watch_start *start, int nodes);
/* A function was traced: its name ("": unknown) and why. */
void mx_watch_compiled(const mx_watch_start *start, const char *name, const char *why);
/* An error when a result of the step holds what may not be there. */
int mx_watch_values(const mx_step *s, const mx_piece *p);

/* ---- profiles: any number at a time ---- */

typedef struct mx_profile_row {
  char *name;
  uint64_t calls;
  double seconds;            /* without what nested steps took */
  uint64_t read, written;    /* bytes of inputs and of results */
  double flops;              /* < 0: not known */
} mx_profile_row;

typedef struct mx_profile mx_profile;
mx_profile *mx_profile_new(void);
void mx_profile_free(mx_profile *p);
void mx_profile_start(mx_profile *p); /* forgets what it has */
void mx_profile_stop(mx_profile *p);
/* The rows, the longest first; they are the profile's, until it starts again. */
int mx_profile_rows(mx_profile *p, const mx_profile_row **rows, int *n);
double mx_profile_seconds(mx_profile *p); /* between start and stop, or so far */
int mx_profile_table(mx_profile *p, char **text); /* from mx_malloc */

/* ---- the trace: a file in the trace event format, which Perfetto and chrome://tracing open ---- */

int mx_trace_start(const char *path); /* "%p" in the path becomes the process's number */
int mx_trace_flush(void);
int mx_trace_stop(void);

/* ---- the check ---- */

void mx_set_debug_nans(bool nan, bool inf);

/* ---- between the files of the profiler ---- */

enum { MX_EVENT_NAME = 160, MX_EVENT_IO = 64 };
typedef struct mx_run_event {
  const char *category;      /* "kernel", "fused", "view", "loop", "plan", "compile" */
  char name[MX_EVENT_NAME];
  double begin, end, self;
  uint64_t read, written;
  double flops;
  mx_stream stream;
  int nin, nout, nops;
  const mx_array *in[MX_EVENT_IO];
  mx_view out[MX_EVENT_IO];
  uint16_t op[MX_PROGRAM_MAX + MX_PROGRAM_IO];
  const char *why;           /* of a compile event */
} mx_run_event;
void mx_trace_event(const mx_run_event *e);
extern _Atomic bool mx_tracing_file;
/* Turns a bit of mx_watching on for as many callers as asked for it. */
void mx_watch_times(int more);
void mx_watch_after_fork(int more); /* in the child */

#endif
