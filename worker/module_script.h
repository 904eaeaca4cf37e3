/*
 * The scripted upstream of `fulfilld module test`: a child process that answers HTTP requests on a loopback
 * port by a list of answers, one after the other, and prints what it was asked. Called by cmd_module.c.
 */
#ifndef FULFILLD_WORKER_MODULE_SCRIPT_H
#define FULFILLD_WORKER_MODULE_SCRIPT_H

#include "common/err.h"

#include <jansson.h>
#include <sys/types.h>

/**
 * Starts the child. Each answer of the array: {"status": 200, "headers": {…}, "body": text or JSON}, or
 * {"fault": "close" | "never" | "garbage"}. What is asked beyond the list is answered 599.
 * @param ret_port  where it listens
 * @return its process, to be ended with module_script_stop(); -1 with ret_fault
 */
pid_t module_script_start(const json_t *answers, int *ret_port, struct fault *ret_fault);

/* How the requests compared with the answers of the list. */
enum module_script_end { SCRIPT_USED_UP, SCRIPT_TOO_SHORT, SCRIPT_TOO_LONG };
/** Ends the child. */
enum module_script_end module_script_stop(pid_t child);

#endif
