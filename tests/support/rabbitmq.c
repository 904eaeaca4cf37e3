/* Talks to the node by its environment variables. Called by the broker's integration tests. */
#include "support/rabbitmq.h"

#include "support/unit.h"

#include <stdio.h>

static const char *variable(const char *name)
{
    const char *value = getenv(name);

    return value ? value : "";
}

bool rabbitmq_available(void)
{
    return variable("FULFILLD_TEST_AMQP_PORT")[0] != '\0';
}

int rabbitmq_port(void)
{
    return atoi(variable("FULFILLD_TEST_AMQP_PORT"));
}

pid_t rabbitmq_pid(void)
{
    return (pid_t)atoi(variable("FULFILLD_TEST_RABBITMQ_PID"));
}

void rabbitmq_ctl(const char *words)
{
    char command[1024];

    assert_true((size_t)snprintf(command, sizeof(command), "%s ctl %s %s >/dev/null",
                                 variable("FULFILLD_TEST_RABBITMQ_NODE"),
                                 variable("FULFILLD_TEST_RABBITMQ_DIR"), words) < sizeof(command));
    assert_int_equal(system(command), 0);
}

void rabbitmq_eval(const char *expression)
{
    char words[900];

    assert_true((size_t)snprintf(words, sizeof(words), "eval '%s'", expression) < sizeof(words));
    rabbitmq_ctl(words);
}
