/*
 * RFC 3339 times to UTC seconds, without the C library's idea of time zones and locales. Decides what is
 * accepted: 'T', 't' or a space between date and time, any fraction, 'Z', 'z' or ±hh:mm. Called by
 * order_fields.c.
 */
#include "worker/order_date.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

struct civil {
    int year, month, day, hour, minute, second;
};

/* Days since 1970-01-01 in the Gregorian calendar, counted from a March so that leap days come last. */
static int64_t days_of(int year, int month, int day)
{
    int64_t shifted = year - (month <= 2);
    int64_t era = (shifted >= 0 ? shifted : shifted - 399) / 400;
    int64_t year_of_era = shifted - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

/* The inverse of days_of(). */
static struct civil civil_of(int64_t days)
{
    int64_t shifted = days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153;
    struct civil civil = {.day = (int)(day_of_year - (153 * month + 2) / 5 + 1)};

    civil.month = (int)(month < 10 ? month + 3 : month - 9);
    civil.year = (int)(year_of_era + era * 400) + (civil.month <= 2);
    return civil;
}

static bool valid_date(const struct civil *civil)
{
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (civil->year % 4 == 0 && civil->year % 100 != 0) || civil->year % 400 == 0;

    return civil->month >= 1 && civil->month <= 12 && civil->day >= 1 &&
           civil->day <= month_days[civil->month - 1] + (leap && civil->month == 2);
}

/* Reads exactly `digits` digits; -1 when there are fewer. Moves on. */
static int take_digits(const char **at, int digits)
{
    int value = 0;

    for (; digits > 0; digits--, (*at)++) {
        if (!isdigit((unsigned char)**at))
            return -1;
        value = value * 10 + (**at - '0');
    }
    return value;
}

static bool take_one_of(const char **at, const char *allowed)
{
    if (**at == '\0' || !strchr(allowed, **at))
        return false;
    (*at)++;
    return true;
}

/* "Z" or "±hh:mm" at the end of the text, in minutes. */
static bool take_offset(const char *at, int *ret_minutes)
{
    int sign = *at == '-' ? -1 : 1, hours, minutes;

    if (take_one_of(&at, "Zz")) {
        *ret_minutes = 0;
        return *at == '\0';
    }
    if (!take_one_of(&at, "+-"))
        return false;
    hours = take_digits(&at, 2);
    if (hours < 0 || hours > 23 || !take_one_of(&at, ":"))
        return false;
    minutes = take_digits(&at, 2);
    if (minutes < 0 || minutes > 59 || *at != '\0')
        return false;
    *ret_minutes = sign * (hours * 60 + minutes);
    return true;
}

static bool take_fraction(const char **at)
{
    if (**at != '.')
        return true;
    (*at)++;
    if (take_digits(at, 1) < 0)
        return false;
    while (isdigit((unsigned char)**at))
        (*at)++;
    return true;
}

static bool take_civil(const char **at, struct civil *ret_civil)
{
    struct civil civil = {0};

    civil.year = take_digits(at, 4);
    if (civil.year < 0 || !take_one_of(at, "-"))
        return false;
    civil.month = take_digits(at, 2);
    if (civil.month < 0 || !take_one_of(at, "-"))
        return false;
    civil.day = take_digits(at, 2);
    if (civil.day < 0 || !take_one_of(at, "Tt ") || !valid_date(&civil))
        return false;
    civil.hour = take_digits(at, 2);
    if (civil.hour < 0 || civil.hour > 23 || !take_one_of(at, ":"))
        return false;
    civil.minute = take_digits(at, 2);
    if (civil.minute < 0 || civil.minute > 59 || !take_one_of(at, ":"))
        return false;
    civil.second = take_digits(at, 2);
    if (civil.second < 0 || civil.second > 60)
        return false;
    /* A leap second: what reads our times upstream knows none. */
    if (civil.second == 60)
        civil.second = 59;
    *ret_civil = civil;
    return true;
}

/* A number below 100, and what follows it; returns its end. */
static char *put_two(char *at, int number, const char *behind)
{
    *at++ = (char)('0' + number / 10);
    *at++ = (char)('0' + number % 10);
    return stpcpy(at, behind);
}

bool order_date_to_utc(const char *text, char *ret_utc)
{
    int64_t seconds, second_of_day;
    struct civil civil;
    int offset_minutes;

    if (!take_civil(&text, &civil) || !take_fraction(&text) || !take_offset(text, &offset_minutes))
        return false;
    seconds = days_of(civil.year, civil.month, civil.day) * 86400 + civil.hour * 3600 + civil.minute * 60 +
              civil.second - (int64_t)offset_minutes * 60;
    second_of_day = ((seconds % 86400) + 86400) % 86400;
    civil = civil_of((seconds - second_of_day) / 86400);
    if (civil.year < 1 || civil.year > 9999)
        return false;
    ret_utc = put_two(ret_utc, civil.year / 100, "");
    ret_utc = put_two(ret_utc, civil.year % 100, "-");
    ret_utc = put_two(ret_utc, civil.month, "-");
    ret_utc = put_two(ret_utc, civil.day, "T");
    ret_utc = put_two(ret_utc, (int)(second_of_day / 3600), ":");
    ret_utc = put_two(ret_utc, (int)(second_of_day / 60 % 60), ":");
    put_two(ret_utc, (int)(second_of_day % 60), "Z");
    return true;
}
