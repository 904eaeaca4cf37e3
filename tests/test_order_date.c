/* worker/order_date.c: times with offsets and fractions, as UTC seconds. */
#include "worker/order_date.h"

#include "common/scope.h"

#include "support/unit.h"

#include <stdio.h>

static void test_dates_become_utc_seconds(void **state)
{
    static const struct {
        const char *given, *utc; /* NULL = refused */
    } rows[] = {
        {"2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"},
        {"2026-01-02t03:04:05z", "2026-01-02T03:04:05Z"},
        {"2026-01-02 03:04:05+00:00", "2026-01-02T03:04:05Z"},
        {"2026-01-02T03:04:05.999999999Z", "2026-01-02T03:04:05Z"},
        {"2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00Z"},
        {"2023-12-31T23:30:00-01:00", "2024-01-01T00:30:00Z"},
        {"2024-02-29T12:00:00+05:45", "2024-02-29T06:15:00Z"},
        {"2024-02-28T23:59:59-00:01", "2024-02-29T00:00:59Z"},
        {"2000-02-29T00:00:00Z", "2000-02-29T00:00:00Z"},
        {"1969-12-31T23:59:59Z", "1969-12-31T23:59:59Z"},
        {"0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"},
        {"9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"},
        {"2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"},
        {"0001-01-01T00:00:00+00:01", NULL},
        {"9999-12-31T23:59:59-00:01", NULL},
        {"2023-02-29T00:00:00Z", NULL},
        {"1900-02-29T00:00:00Z", NULL},
        {"2026-00-01T00:00:00Z", NULL},
        {"2026-13-01T00:00:00Z", NULL},
        {"2026-04-31T00:00:00Z", NULL},
        {"2026-01-00T00:00:00Z", NULL},
        {"2026-01-02T24:00:00Z", NULL},
        {"2026-01-02T03:60:00Z", NULL},
        {"2026-01-02T03:04:61Z", NULL},
        {"2026-01-02T03:04:05", NULL},
        {"2026-01-02T03:04Z", NULL},
        {"2026-01-02T03:04:05.Z", NULL},
        {"2026-01-02T03:04:05,5Z", NULL},
        {"2026-01-02T03:04:05+0100", NULL},
        {"2026-01-02T03:04:05+24:00", NULL},
        {"2026-01-02T03:04:05+01:60", NULL},
        {"2026-01-02T03:04:05Z ", NULL},
        {" 2026-01-02T03:04:05Z", NULL},
        {"20260102T030405Z", NULL},
        {"+2026-01-02T03:04:05Z", NULL},
        {"", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char utc[ORDER_DATE_BYTES] = "untouched";

        if (order_date_to_utc(rows[i].given, utc) != (rows[i].utc != NULL))
            fail_msg("%s: became %s", rows[i].given, utc);
        assert_string_equal(utc, rows[i].utc ? rows[i].utc : "untouched");
    }
}

static void test_every_day_of_four_centuries_comes_back(void **state)
{
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    char given[64], expected[64], utc[ORDER_DATE_BYTES];

    (void)state;
    for (int year = 1800; year < 2200; year++) {
        for (int month = 1; month <= 12; month++) {
            bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

            for (int day = 1; day <= month_days[month - 1] + (leap && month == 2); day++) {
                (void)snprintf(given, sizeof(given), "%04d-%02d-%02dT22:00:00-01:30", year, month, day);
                (void)snprintf(expected, sizeof(expected), "%04d-%02d-%02dT23:30:00Z", year, month, day);
                assert_true(order_date_to_utc(given, utc));
                assert_string_equal(utc, expected);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dates_become_utc_seconds),
        cmocka_unit_test(test_every_day_of_four_centuries_comes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
