#include "capture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static bool append_head(struct dml_capture *capture, const char *bytes, size_t length)
{
    if (capture->head_length + length > capture->head_capacity) {
        size_t capacity = capture->head_capacity ? capture->head_capacity * 2 : 16 * 1024;
        while (capacity < capture->head_length + length)
            capacity *= 2;
        char *head = realloc(capture->head, capacity);
        if (!head)
            return false;
        capture->head = head;
        capture->head_capacity = capacity;
    }
    memcpy(capture->head + capture->head_length, bytes, length);
    capture->head_length += length;
    return true;
}

/* Keeps the last `tail_capacity` bytes. */
static bool append_tail(struct dml_capture *capture, const char *bytes, size_t length)
{
    size_t capacity = (size_t)(capture->limit - capture->limit / 2);
    if (!capture->tail && !(capture->tail = malloc(capacity ? capacity : 1)))
        return false;
    capture->tail_capacity = capacity;
    for (size_t i = 0; i < length; i++) {
        if (capture->tail_length < capacity) {
            capture->tail[(capture->tail_start + capture->tail_length++) % capacity] = bytes[i];
        } else {
            capture->dropped++;
            if (capacity) {
                capture->tail[capture->tail_start] = bytes[i];
                capture->tail_start = (capture->tail_start + 1) % capacity;
            }
        }
    }
    return true;
}

/* What there is no memory for is dropped, and counted like the rest. */
static void append(struct dml_capture *capture, const char *bytes, size_t length)
{
    size_t room = length;
    if (capture->bounded) {
        uint64_t half = capture->limit / 2;
        bool full = capture->head_length >= half || capture->tail_length || capture->dropped;
        room = full ? 0 : (size_t)(half - capture->head_length);
        room = room < length ? room : length;
    }
    if (room && !append_head(capture, bytes, room))
        capture->dropped += room;
    if (room < length && !append_tail(capture, bytes + room, length - room))
        capture->dropped += length - room;
}

/* Takes what is there by now, and no more: whoever goes on writing must not hold us. */
void dml_capture_read(struct dml_capture *capture)
{
    char buffer[64 * 1024];
    int there = 0;
    ioctl(capture->fd, FIONREAD, &there);
    do {
        ssize_t length = read(capture->fd, buffer, sizeof buffer);
        if (length < 0 && (errno == EINTR || errno == EAGAIN))
            return;
        if (length <= 0) {
            close(capture->fd);
            capture->fd = -1;
            return;
        }
        append(capture, buffer, (size_t)length);
        there -= (int)length;
    } while (there > 0);
}

void dml_capture_clear(struct dml_capture *capture)
{
    if (capture->fd >= 0)
        close(capture->fd);
    free(capture->head);
    free(capture->tail);
    *capture = (struct dml_capture){.fd = -1};
}
