/* The contract suite's other side: a private RabbitMQ. */
#include "contract_broker.h"
#include "support/rabbitmq.h"

#include <stdio.h>

bool contract_broker_available(void)
{
    return rabbitmq_available();
}

const char *contract_broker_uri(void)
{
    static char uri[64];

    snprintf(uri, sizeof(uri), "amqp://guest:guest@127.0.0.1:%d/%%2F", rabbitmq_port());
    return uri;
}

void contract_broker_cut_links(void)
{
    rabbitmq_ctl("close_all_connections test");
}

/* Queues are named by process and test, so nothing of one run is in the way of another. */
void contract_broker_reset(void)
{
}
