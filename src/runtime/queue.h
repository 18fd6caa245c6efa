/* Queues of streams: each stream that has had work queued has one worker that runs it in order. */
#ifndef MX_RUNTIME_QUEUE_H
#define MX_RUNTIME_QUEUE_H

#include "core/stream.h"

/* Runs fn(arg) on the stream's worker after all that was queued before. An error when no worker could be started. */
int mx_queue_push(mx_stream s, void (*fn)(void *), void *arg);
/* Waits until everything queued on the stream so far has run. */
int mx_queue_wait(mx_stream s);

#endif
