/* Every request in order, as tests read it. Bounded: the oldest entries go first. */
#ifndef LMS_LEDGER_H
#define LMS_LEDGER_H

#include "map.h"
#include "request.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    LEDGER_BODY_DEFAULT = 4096,
    LEDGER_SECONDS = 3600,
    LEDGER_STATUS_MAX = 600,
};

struct ledger_entry {
    uint64_t seq;        /* 1, 2, 3 … */
    int64_t arrived_us;  /* wall clock */
    int64_t finished_us; /* 0 while in flight */
    uint64_t connection; /* number of the TCP connection */
    uint64_t nth;        /* the how many-th request on it */
    enum resource resource;
    int is_active;          /* 1, 0, -1 = not said */
    int status;             /* what was answered; 0 = nothing */
    bool applied;           /* the state of the LMS changed */
    bool answered;          /* the answer left whole, as far as we know */
    unsigned overlap_order; /* other requests of the same order in flight when it arrived */
    unsigned overlap_line;  /* the same, learner and course alike too */
    const char *fault;      /* static text, or NULL */
    size_t body_len;        /* as sent; the body itself is kept up to a limit */
    size_t at[10];          /* offsets of texts in block, by enum ledger_text; 0 = not said */
    char *block;
};

struct second_count {
    int64_t second;
    uint64_t requests;
};

struct ledger {
    struct ledger_entry *ring;
    size_t capacity;
    uint64_t next_seq;      /* of the next request */
    size_t body_limit;      /* longer bodies are not kept */
    struct map open_orders; /* order, and order + learner + course → requests in flight */
    uint64_t by_status[LEDGER_STATUS_MAX];
    uint64_t unanswered;
    uint64_t in_flight, max_in_flight;
    uint64_t overlaps;  /* requests that overlapped another for the same order, learner, course */
    struct map by_kind; /* kind → struct kind_count */
    struct second_count seconds[LEDGER_SECONDS];
};

void ledger_init(struct ledger *ledger, size_t capacity, size_t body_limit);
void ledger_fini(struct ledger *ledger);

/** Forgets everything; sequence numbers go on, so that requests in flight are not confused. */
void ledger_clear(struct ledger *ledger);

/** Notes a request that has arrived; answers its sequence number. key_is_good is for the record. */
uint64_t ledger_open(struct ledger *ledger, const struct request *request, bool key_is_good,
                     uint64_t connection, uint64_t nth);

/** Notes what is going to be answered. rule may be NULL; fault is static text or NULL. */
void ledger_plan(struct ledger *ledger, uint64_t seq, int status, bool applied, const char *fault,
                 const char *rule);

/** Notes that a request is over; answered says whether the planned answer left. */
void ledger_close(struct ledger *ledger, uint64_t seq, bool answered);

struct ledger_filter {
    uint64_t since;                                  /* entries after this sequence number */
    size_t limit;                                    /* at most so many; 0 = all */
    const char *order, *user, *course, *kind, *path; /* NULL = any; path is a prefix */
};

/** {"next": …, "entries": […]}. New reference. */
json_t *ledger_dump(const struct ledger *ledger, const struct ledger_filter *filter);

/** Counts for GET /_lms/stats. New reference. */
json_t *ledger_stats(const struct ledger *ledger);

#endif
