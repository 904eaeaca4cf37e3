/* Access tokens of the stand-in: issued, remembered, expired. */
#ifndef LMS_TOKENS_H
#define LMS_TOKENS_H

#include "map.h"
#include "reply.h"
#include "request.h"

#include <stdbool.h>
#include <stdint.h>

struct token {
    char *user; /* whom it stands for */
    bool staff;
    bool is_jwt;        /* else an opaque Bearer token */
    int64_t expires_ms; /* wall clock */
};

struct tokens {
    struct map issued;     /* text → struct token */
    const char *client_id; /* borrowed from the options */
    const char *client_secret;
    bool staff;             /* what the next tokens are worth */
    bool rate_limited;      /* answer 403 as the real endpoint does when it is asked too often */
    int64_t ttl_s;          /* how long the next tokens live */
    int64_t reported_ttl_s; /* what expires_in says; -1 = the truth */
    uint64_t count;         /* tokens issued since the start */
};

void tokens_init(struct tokens *tokens, const char *client_id, const char *client_secret);
void tokens_fini(struct tokens *tokens);

/** Answers POST /oauth2/access_token. */
void tokens_answer(struct tokens *tokens, const struct request *request, struct reply *reply);

/** The token of that text, expired or not; NULL when it was never issued. */
const struct token *tokens_find(const struct tokens *tokens, const char *text);

/** Makes every issued token expire now. */
void tokens_expire_all(struct tokens *tokens);

#endif
