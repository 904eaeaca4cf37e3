/*
 * A configuration file as it was at one moment: its text, and a memory file that workers read it from. A
 * worker that is restarted later gets what was validated, not what the file holds by then.
 */
#ifndef FULFILLD_WORKER_SNAPSHOT_H
#define FULFILLD_WORKER_SNAPSHOT_H

#include "common/err.h"

struct snapshot {
    char *text; /* owned, NUL-terminated */
    int fd;     /* owned; -1 = none */
};
#define SNAPSHOT_NONE                                                                                        \
    {                                                                                                        \
        .text = NULL, .fd = -1                                                                               \
    }

enum { SNAPSHOT_MAX_BYTES = 1024 * 1024 };

/** Reads the file. ERR_CONFIG when it cannot be read or is larger than 1 MiB, ERR_NOMEM. */
MUST_CHECK enum err snapshot_take(const char *path, struct snapshot *ret_snapshot, struct fault *ret_fault);
/** In a worker: reads the text from the descriptor it was given. The caller frees; NULL on failure. */
char *snapshot_read(int fd);
void snapshot_close(struct snapshot *snapshot);

#endif
