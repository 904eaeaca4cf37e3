/*
 * What store.c says and hears as bytes: commands as Redis reads them, and the meaning of error answers. Pure.
 */
#ifndef FULFILLD_COMMON_STORE_WORDS_H
#define FULFILLD_COMMON_STORE_WORDS_H

#include "common/store.h"

/* Arguments of one command that lie in several arrays. */
struct store_part {
    const struct store_arg *args;
    size_t count;
};

/** One command of all arguments in order; malloc()ed, or NULL when out of memory. */
MUST_CHECK char *store_command_encode(const struct store_part *parts, size_t part_count, size_t *ret_length);

/**
 * Where the arguments after EVALSHA and the 40 digits begin in a command made by store_command_encode(),
 * and how long its first line (the argument count) is: what a repeat with the text shares with it.
 */
const char *store_command_tail(const char *command, size_t *ret_first_line_length);

/**
 * Translates an error answer: ERR_UNAVAILABLE when Redis did not run the command and may do so later,
 * ERR_REFUSED when it will never be otherwise. The detail holds Redis' words without the arguments it quotes.
 */
struct fault store_error_read(const char *words);
/** It knows no script of that digest. */
bool store_error_is_noscript(const char *words);
/** A new connection may be answered otherwise (a replica after a failover, a login that was lost). */
bool store_error_wants_reconnect(const char *words);

#endif
