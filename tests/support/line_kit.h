/*
 * One line through the real module host and upstreams, on the fake loop and the fake HTTP client: settings
 * and a message in, an outcome out. For the tests of modules, outcomes and upstreams.
 */
#ifndef FULFILLD_TESTS_SUPPORT_LINE_KIT_H
#define FULFILLD_TESTS_SUPPORT_LINE_KIT_H

#include "worker/module_host.h"

struct line_kit {
    struct loop *loop;
    struct store *store; /* NULL: no pool */
    struct settings *settings;
    struct upstream *upstreams[8];
    size_t upstream_count;
    struct module_host *host;
    struct order *order;
    struct line_outcome outcome;
    struct line_run run;
    bool done;
    char directory[64]; /* for secrets; removed at the end */
};

/**
 * Makes a host of settings: "%DIR%" in the text becomes a directory with the files api_key ("key-secret-1"),
 * client_secret ("client-secret-1") and webhook_secret ("hook-secret-1").
 * @param store  NULL = no pool: breaker and rate are kept in the process
 */
void line_kit_open(struct line_kit *kit, const char *settings_text, struct store *store);
/** Reads a message; its first line is what runs. */
void line_kit_message(struct line_kit *kit, const char *message);
/** Starts the line and settles the loop. Outcome fields that are input stay as the test set them. */
void line_kit_start(struct line_kit *kit);
/** Starts and moves the clock until it is done; fails the test when it is not after ten minutes. */
const struct line_outcome *line_kit_run(struct line_kit *kit);
void line_kit_close(struct line_kit *kit);

/* An [lms] with an API key. */
#define LINE_KIT_LMS "[lms]\nbase_url = https://lms.example.org\napi_key_file = %DIR%/api_key\n"
/* One with client credentials only. */
#define LINE_KIT_LMS_TOKEN                                                                                   \
    "[lms]\nbase_url = https://lms.example.org\noauth_token_url = "                                          \
    "https://lms.example.org/oauth2/access_token\n"                                                          \
    "oauth_client_id = worker\noauth_client_secret_file = %DIR%/client_secret\n"
/* A verified seat. */
extern const char line_kit_seat[];
extern const char line_kit_seat_refund[];
extern const char line_kit_entitlement[];
extern const char line_kit_entitlement_refund[];

#endif
