/*
 * Memory that the master and its workers share: the metrics, and a line of text per slot about the upstreams
 * (for /readyz). A memory file, handed to workers as a descriptor.
 */
#ifndef FULFILLD_WORKER_SHARED_H
#define FULFILLD_WORKER_SHARED_H

#include "common/err.h"

#include <stddef.h>

enum { SHARED_NOTE_BYTES = 1024 };

/** For the master: lays out memory for so many slots. The descriptor (close-on-exec), or -1 with ret_fault.
 */
int shared_create(size_t slot_count, struct fault *ret_fault);

/** Maps it and takes a slot as this process's own (metrics_attach). OK or ERR_MALFORMED, ERR_NOMEM. */
MUST_CHECK enum err shared_attach(int fd, size_t slot, struct fault *ret_fault);

/** Sets this process's note; cut at SHARED_NOTE_BYTES - 1. No-op while not attached. */
void shared_note(const char *text);
/** Copies a slot's note; "" when there is none. `ret_text` holds SHARED_NOTE_BYTES. */
void shared_note_of(size_t slot, char *ret_text);

/** For the master, after a process is gone: its beat, gauges and note are cleared, its counters stay. */
void shared_reset(size_t slot);

#endif
