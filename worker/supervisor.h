/*
 * The master process: keeps the worker processes alive, answers /metrics, /healthz and /readyz, handles the
 * signals of an operator and tells systemd. It never touches an order.
 */
#ifndef FULFILLD_WORKER_SUPERVISOR_H
#define FULFILLD_WORKER_SUPERVISOR_H

/** `fulfilld run`: returns the exit code (0 drained, 1 failed, 2 bad configuration). */
int supervisor_run(const char *config_path);

/* What the supervisor hands to each worker. */
enum { SUPERVISOR_CONFIG_FD = 3, SUPERVISOR_SHARED_FD = 4 };

#endif
