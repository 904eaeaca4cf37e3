/*
 * The private RabbitMQ node that tests/support/with-rabbitmq has started for this program.
 */
#ifndef FULFILLD_TESTS_SUPPORT_RABBITMQ_H
#define FULFILLD_TESTS_SUPPORT_RABBITMQ_H

#include <stdbool.h>
#include <sys/types.h>

bool rabbitmq_available(void);
int rabbitmq_port(void);
pid_t rabbitmq_pid(void);
/** rabbitmqctl with these words (shell syntax); fails the test when it fails. */
void rabbitmq_ctl(const char *words);
/** rabbitmqctl eval with an Erlang expression (no quotes ' in it). */
void rabbitmq_eval(const char *expression);

#endif
