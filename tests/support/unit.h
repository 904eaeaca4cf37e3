/* What every cmocka test includes: cmocka.h with the headers it needs before it. */
#ifndef FULFILLD_TESTS_SUPPORT_UNIT_H
#define FULFILLD_TESTS_SUPPORT_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#endif
