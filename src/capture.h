/* Captured output: the head and the tail of a stream, and a count of what was dropped between them. */
#ifndef DML_CAPTURE_H
#define DML_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A zeroed struct with `fd` set, and `limit` where it is bounded, is ready. */
struct dml_capture {
    int fd;       /* our end of the pipe, non-blocking; -1 once the stream is over */
    bool bounded; /* only `limit` bytes are kept */
    uint64_t limit;
    char *head; /* the first half of the limit, or everything */
    size_t head_length, head_capacity;
    char *tail; /* a ring of the last bytes */
    size_t tail_capacity, tail_start, tail_length;
    uint64_t dropped;
};

/* Reads what is there. The end of the stream closes and clears `fd`. */
void dml_capture_read(struct dml_capture *capture);

/* Closes the descriptor and frees the bytes. */
void dml_capture_clear(struct dml_capture *capture);

#endif
