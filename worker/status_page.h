/*
 * What the supervisor answers to GET /metrics, /healthz and /readyz.
 */
#ifndef FULFILLD_WORKER_STATUS_PAGE_H
#define FULFILLD_WORKER_STATUS_PAGE_H

#include "common/http_listen.h"
#include "worker/slot.h"

/**
 * /healthz: 200 while the master runs. /readyz: 200 when at least one worker has its links to RabbitMQ and
 * Redis and takes work, else 503; the text says which link is down in which worker, and how each upstream is.
 */
void status_page_answer(const char *path, const struct slot *slots, size_t slot_count, bool stopping,
                        struct http_listen_answer *answer);

#endif
