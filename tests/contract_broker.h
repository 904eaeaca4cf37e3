/*
 * What the two sides of the broker's contract suite differ in: contract_broker_fake.c and
 * contract_broker_rabbitmq.c.
 */
#ifndef FULFILLD_TESTS_CONTRACT_BROKER_H
#define FULFILLD_TESTS_CONTRACT_BROKER_H

#include "common/broker.h"

/** False: there is no broker to test with, skip. */
bool contract_broker_available(void);
/** Where it is; any text for the fake. */
const char *contract_broker_uri(void);
/** Breaks the connections of all links, from outside. */
void contract_broker_cut_links(void);
/** After each test; the broker is closed. */
void contract_broker_reset(void);

#endif
