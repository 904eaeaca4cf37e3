/* The contract suite's other side: the fake broker. */
#include "contract_broker.h"
#include "fakes/fake_broker.h"

bool contract_broker_available(void)
{
    return true;
}

const char *contract_broker_uri(void)
{
    return "amqp://fake";
}

void contract_broker_cut_links(void)
{
    for (int link = 0; link < 2; link++)
        fake_broker_set_up((enum broker_link)link, false);
    for (int link = 0; link < 2; link++)
        fake_broker_set_up((enum broker_link)link, true);
}

void contract_broker_reset(void)
{
    fake_broker_reset();
}
