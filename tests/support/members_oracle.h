/* jansson as the judge of worker/modules/members.c: for its unit test and its fuzz target. */
#ifndef FULFILLD_TESTS_SUPPORT_MEMBERS_ORACLE_H
#define FULFILLD_TESTS_SUPPORT_MEMBERS_ORACLE_H

#include <stddef.h>

/** Reads the text both ways. NULL when both see the same, else what they differ in. */
const char *members_oracle(const char *text, size_t length);

#endif
