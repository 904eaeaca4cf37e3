/* The loop on libuv; private to loop.c and loop_io.c, the only files that see that library. */
#ifndef FULFILLD_COMMON_LOOP_UV_H
#define FULFILLD_COMMON_LOOP_UV_H

#include "common/loop_core.h"

#include <uv.h>

struct loop {
    struct loop_core core;
    uv_loop_t uv;
    uv_prepare_t turn;    /* runs the core before each wait; does not keep the loop alive */
    uv_idle_t wake;       /* active: do not sleep, do not end */
    uv_timer_t clock;     /* armed for the core's first timer */
    int64_t clock_due_ms; /* what `clock` is armed for; -1 = not armed */
    size_t watch_count;   /* polls that are set, signals, children and look-ups that somebody waits for */
    size_t orphan_count;  /* look-ups that were freed while under way: they keep libuv alive, not us */
};

/** Closes what was freed but still listened: children that outlive the loop. For loop_free(). */
void loop_io_abandon(struct loop *loop);

#endif
