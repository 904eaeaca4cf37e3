/*
 * One worker process kept alive: started, watched, replaced. State × event table in slot.def.
 * Owned by the supervisor.
 */
#ifndef FULFILLD_WORKER_SLOT_H
#define FULFILLD_WORKER_SLOT_H

#include "common/loop.h"

enum slot_state { SLOT_STOPPED, SLOT_RUNNING, SLOT_STOPPING, SLOT_BACKOFF };
enum slot_event {
    SLOT_EVENT_START,
    SLOT_EVENT_STOP,
    SLOT_EVENT_EXITED,
    SLOT_EVENT_HUNG,
    SLOT_EVENT_BACKOFF_OVER
};

struct slot;
typedef void slot_stopped_fn(void *context, struct slot *slot);

struct slot {
    int index; /* also its slot of the shared metrics */
    bool solo;
    enum slot_state state;
    struct loop *loop;
    struct loop_child *child; /* NULL unless a process runs */
    const int *fds;           /* what a worker gets: configuration, shared memory; the supervisor's */
    int64_t started_ms;
    int64_t backoff_ms;          /* of the next restart */
    struct loop_timer timer;     /* BACKOFF */
    slot_stopped_fn *on_stopped; /* a STOP has been carried out */
    void *context;
    bool restart; /* to be started again as soon as it has stopped (roll, memory) */
};

void slot_init(struct slot *slot, struct loop *loop, int index, bool solo, const int *fds,
               slot_stopped_fn *on_stopped, void *context);
void slot_handle(struct slot *slot, enum slot_event event);
/* Whether a process of this slot is alive (as far as is known). */
bool slot_has_process(const struct slot *slot);
/* Resident memory of its process; 0 = there is none, or it cannot be seen. */
int64_t slot_memory_bytes(const struct slot *slot);
const char *slot_state_name(enum slot_state state);

#endif
