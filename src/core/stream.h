/* Streams are small numbers: an index into the table of streams. Stream 0 is the default CPU stream of the first thread. */
#ifndef MX_CORE_STREAM_H
#define MX_CORE_STREAM_H

#include <stdint.h>

typedef enum mx_device_type { MX_CPU, MX_GPU } mx_device_type;
typedef struct mx_device { mx_device_type type; int index; } mx_device;
typedef int16_t mx_stream;

mx_device mx_default_device(void);
int mx_set_default_device(mx_device d);           /* an error for a device that is not there */
int mx_device_count(mx_device_type t);
mx_stream mx_default_stream(void);                /* of this thread and the default device */
const mx_stream *mx_default_stream_place(void);   /* where that stands */
int mx_default_stream_of(mx_stream *s, mx_device d);
int mx_set_default_stream(mx_stream s);
int mx_stream_new(mx_stream *s, mx_device d);
mx_device mx_stream_device(mx_stream s);
int mx_stream_count(void);

#endif
