/*
 * A TCP proxy in a process of its own that passes bytes on in crumbs: the first of a connection one by one,
 * then a few thousand at a time. Every frame boundary falls somewhere inside a read.
 */
#ifndef FULFILLD_TESTS_SUPPORT_DRIBBLE_H
#define FULFILLD_TESTS_SUPPORT_DRIBBLE_H

#include <sys/types.h>

struct dribble {
    pid_t pid;
    int port; /* to connect to, on 127.0.0.1 */
};

void dribble_start(struct dribble *dribble, int target_port);
void dribble_stop(struct dribble *dribble);

#endif
