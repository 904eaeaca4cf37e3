/*
 * The plug-in interface of fulfilld: how a product type is fulfilled and refunded.
 *
 * A module is a table of functions. The host (fulfilld) hands it one line of one order at a time; the module
 * asks the host for HTTP calls and ends the line with a result. It never sees the event loop, curl, Redis or
 * RabbitMQ. The built-in modules use this header and nothing else.
 *
 * Threads: everything runs on one thread of one process, and nothing may block. Several calls (lines) are
 * open at once; a module keeps what belongs to one of them in the memory of host->state().
 * Needs only libc's headers; C11 or C++11.
 *
 * Growing: both tables begin with `abi` and `size`. New members come at the end only, so an older plug-in
 * runs in a newer host; a plug-in built for a newer FULFILL_ABI than the host's is refused at start.
 */
#ifndef FULFILL_MODULE_H
#define FULFILL_MODULE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FULFILL_ABI 1u

/* One line of one order on its way. Opaque; valid from fulfill_product()/refund_product() until
 * host->finish() has returned, or until cancel() has returned. */
struct fulfill_call;

/* Texts of a call; each is NULL when the message does not have it. Borrowed, valid as long as the call. */
enum fulfill_text {
    FULFILL_ORDER_NUMBER,
    FULFILL_REFUND_NUMBER, /* refunds only */
    FULFILL_DATE_PLACED,   /* UTC, whole seconds: 2026-01-02T03:04:05Z */
    FULFILL_PRODUCT_CLASS,
    FULFILL_SKU,
    FULFILL_TITLE,
    FULFILL_USERNAME, /* the learner of this line (the line's own user, else the order's) */
    FULFILL_EMAIL,
    FULFILL_GA_CLIENT_ID,
    FULFILL_LMS_IP,
    FULFILL_ENTERPRISE_CUSTOMER_UUID,
    FULFILL_TRACEPARENT,
    FULFILL_LINE_JSON,      /* the line as it stands in the message */
    FULFILL_RESULT_JSON,    /* what finish() left in result_json when the line was done: for its refund */
    FULFILL_IDEMPOTENCY_KEY /* stable for this line, its refund having another; new only when a person asks
                               for a new generation after a definitive answer */
};

enum fulfill_number {
    FULFILL_LINE_ID,
    FULFILL_QUANTITY,
    FULFILL_GENERATION,   /* 1, 2, … one more for each requeue */
    FULFILL_ATTEMPT,      /* 1, 2, … within the generation */
    FULFILL_LOOK_FIRST,   /* 1: an earlier attempt may have succeeded; look before writing */
    FULFILL_EMAIL_OPT_IN, /* 0 or 1 */
    FULFILL_DEADLINE_MS   /* milliseconds left until the host cancels the call */
};

/* How an HTTP exchange ended. */
enum fulfill_transport {
    FULFILL_ANSWERED,          /* status and body are there */
    FULFILL_NO_NAME,           /* DNS failed */
    FULFILL_NO_CONNECTION,     /* refused, unreachable, connect timeout */
    FULFILL_NO_TLS,            /* handshake or certificate */
    FULFILL_NOT_SENT,          /* reset before the request was fully sent */
    FULFILL_NO_ANSWER,         /* reset or closed after it was sent: it may have had its effect */
    FULFILL_TIMED_OUT,         /* sent, no answer in time: it may have had its effect */
    FULFILL_TRUNCATED,         /* the answer broke off: it may have had its effect */
    FULFILL_TOO_BIG,           /* the answer is over the limit: it may have had its effect */
    FULFILL_INVALID,           /* what came is not HTTP: it may have had its effect */
    FULFILL_FORBIDDEN_ADDRESS, /* the upstream may not be at a private address; not sent */
    FULFILL_NO_CREDENTIALS,    /* none configured; not sent */
    FULFILL_TOKEN_FAILED,      /* the token endpoint is away, throttling or failing; not sent */
    FULFILL_TOKEN_REFUSED,     /* the token endpoint refused the client, or gave no token; not sent */
    FULFILL_HOST_FAILED        /* out of memory and the like; not sent */
};

struct fulfill_header {
    const char *name;
    const char *value; /* NULL: the header is left out */
};

struct fulfill_request {
    uint32_t size;      /* sizeof(struct fulfill_request) */
    const char *method; /* "GET", "POST", "DELETE" … */
    const char *path;   /* appended to the upstream's base URL, or a URL below that; percent-encoded by the
                           module */
    const struct fulfill_header *headers;
    size_t header_count;
    const char *body; /* NULL = none */
    size_t body_length;
    uint32_t credentials; /* FULFILL_WITH_…: those of them that are configured, and at least one must be,
                             else the exchange ends as FULFILL_NO_CREDENTIALS; 0 = whatever the upstream
                             has, which may be none */
};

enum { FULFILL_WITH_API_KEY = 1, FULFILL_WITH_TOKEN = 2 };

struct fulfill_answer {
    uint32_t size;
    enum fulfill_transport transport;
    int status;       /* with FULFILL_ANSWERED; with FULFILL_TOKEN_…: the token endpoint's, 0 = none */
    const char *body; /* NUL-terminated, at most 1 MiB */
    size_t body_length;
    int64_t retry_after_s; /* -1 = no such header */
};

/* Runs exactly once for each http() that returned 0, later, unless the call was finished or cancelled first.
 */
typedef void fulfill_answer_fn(struct fulfill_call *call, const struct fulfill_answer *answer, void *context);
typedef void fulfill_wait_fn(struct fulfill_call *call, void *context);

/* What becomes of the line. */
enum fulfill_decision {
    FULFILL_DONE,      /* fulfilled (or revoked) */
    FULFILL_RETRY,     /* failed for a reason that may pass: costs an attempt, comes back with backoff */
    FULFILL_RETRY_FEW, /* probably final: as RETRY, but retry.doubtful_attempts times at the most */
    FULFILL_FINAL,     /* will not get better by itself: a person must act */
    FULFILL_WAIT,      /* throttled: no attempt spent; the whole pool waits retry_after_s */
    FULFILL_PAUSE      /* the credentials do not work: no attempt spent; opens the upstream's breaker */
};

/* The line's status family in the event. */
enum fulfill_status {
    FULFILL_STATUS_COMPLETE,
    FULFILL_STATUS_CONFIGURATION,
    FULFILL_STATUS_NETWORK,
    FULFILL_STATUS_TIMEOUT,
    FULFILL_STATUS_SERVER
};

/* What the result says of the upstream's health. */
enum fulfill_health {
    FULFILL_HEALTH_UNKNOWN, /* nothing was asked */
    FULFILL_HEALTH_GOOD,    /* it answers as an API in order does, refusals of one order included */
    FULFILL_HEALTH_BAD      /* counts towards opening the breaker */
};

/* Whether what was asked for may be there although the line did not end well. */
enum fulfill_look {
    FULFILL_LOOK_NO,
    FULFILL_LOOK_NEXT, /* an answer was lost: the next attempt must look before it writes */
    FULFILL_LOOK_NOW   /* from judge() only: look in this very attempt, if the module can; as a result's
                          look_first it counts as FULFILL_LOOK_NEXT */
};

struct fulfill_result {
    uint32_t size; /* sizeof(struct fulfill_result) */
    enum fulfill_decision decision;
    enum fulfill_status status;
    enum fulfill_health health;
    const char *reason;  /* reason code of the status event, e.g. "server_error"; NULL with DONE */
    const char *message; /* the upstream's words for a person; copied, repaired to UTF-8, cut at 500 bytes */
    int http_status;     /* 0 = none */
    int64_t retry_after_s;   /* with FULFILL_WAIT; -1 = unknown */
    int look_first;          /* enum fulfill_look */
    const char *result_json; /* with DONE: JSON object of at most 16 KiB that is kept with the line, sent in
                                the event and handed to its refund, e.g. {"uuid": …}; or NULL; copied */
};

/* What an exchange was for; the rows of docs/failures.md differ by it. */
enum fulfill_operation { FULFILL_OPERATION_FULFILL, FULFILL_OPERATION_REFUND, FULFILL_OPERATION_LOOKUP };

enum fulfill_log_level { FULFILL_LOG_DEBUG, FULFILL_LOG_INFO, FULFILL_LOG_WARNING, FULFILL_LOG_ERROR };

/* What the host offers. Every function may be called from within any function of the module. */
struct fulfill_host {
    uint32_t abi, size;
    const char *(*text)(const struct fulfill_call *call, enum fulfill_text which);
    int64_t (*number)(const struct fulfill_call *call, enum fulfill_number which);
    /* A string attribute of the line, or NULL when absent, null or no string. */
    const char *(*attribute)(const struct fulfill_call *call, const char *name);
    /* 1 or 0 for a boolean attribute, -1 when absent, null or no boolean. */
    int (*attribute_flag)(const struct fulfill_call *call, const char *name);
    /* A key of the module's [module NAME] section, or NULL. */
    const char *(*option)(const struct fulfill_call *call, const char *key);
    /* `bytes` of zeroed memory of this call, the same on every use; freed by the host with the call. NULL =
     * none. */
    void *(*state)(struct fulfill_call *call, size_t bytes);
    /**
     * Starts one HTTP exchange with the module's upstream; the request is copied. Several may run at once.
     * The host adds credentials, traceparent, and keeps rate, concurrency and time limits.
     * @return 0, or -1 when the call is over or the request is unusable (then `done` never runs)
     */
    int (*http)(struct fulfill_call *call, const struct fulfill_request *request, fulfill_answer_fn *done,
                void *context);
    /** Calls `done` after delay_ms (1..600000), e.g. to poll. 0 or -1 as above. */
    int (*wait)(struct fulfill_call *call, int64_t delay_ms, fulfill_wait_fn *done, void *context);
    /** Ends the line; exchanges still running are cancelled. A second finish is ignored and logged. */
    void (*finish)(struct fulfill_call *call, const struct fulfill_result *result);
    /**
     * Ends the line as the host's table for transports and HTTP statuses says (docs/failures.md, rows "any"):
     * for every answer that the module has no better word for. After a 5xx the next attempt looks first.
     */
    void (*finish_by_answer)(struct fulfill_call *call, const struct fulfill_answer *answer);
    void (*log)(const struct fulfill_call *call, enum fulfill_log_level level, const char *message);
    /** Adds to fulfilld_module_events_total{module="…"}; the event is in the log at level debug. */
    void (*count)(const struct fulfill_call *call, const char *event, uint64_t n);
    /** Microseconds since 1970. */
    int64_t (*now_us)(void);
    /**
     * What the host's table (docs/failures.md) says of an answer; nothing is finished yet. The module may
     * change the result before it hands it to finish().
     * @param answer      NULL when nothing was asked
     * @param finding     what the module itself saw, a word of the table's built-in rows; NULL = nothing
     * special
     * @param ret_result  filled; `message` stays valid until the next judge() of this call
     */
    void (*judge)(struct fulfill_call *call, enum fulfill_operation operation,
                  const struct fulfill_answer *answer, const char *finding,
                  struct fulfill_result *ret_result);
    /** The index-th key and value of the module's section. 1, or 0 behind the last. */
    int (*option_at)(const struct fulfill_call *call, size_t index, const char **ret_key,
                     const char **ret_value);
    /** The contents of the file that the option `key` names (read at start, the last line end cut off), or
     * NULL. */
    const char *(*secret)(const struct fulfill_call *call, const char *key);
    /** HMAC-SHA256 as 64 lower-case hex digits and a NUL. 0, or -1 (then ret_hex is "") when it failed. */
    int (*hmac_sha256)(const void *key, size_t key_length, const void *data, size_t data_length,
                       char ret_hex[65]);
};

struct fulfill_module {
    uint32_t abi, size; /* FULFILL_ABI, sizeof(struct fulfill_module) */
    const char *name;   /* [a-z0-9_-]{1,32}, used in the [modules] section */
    /** 1 when the module can take the line, 0 when not (then it fails as no_module). No I/O. May be NULL:
     * always. */
    int (*supports)(const struct fulfill_host *host, const struct fulfill_call *call);
    /** Fulfils the line: ends, now or later, in exactly one host->finish(). */
    void (*fulfill_product)(const struct fulfill_host *host, struct fulfill_call *call);
    /** Takes the fulfilment back: same promise. */
    void (*refund_product)(const struct fulfill_host *host, struct fulfill_call *call);
    /** The host gives the call up (deadline, shutdown); nothing may be called on it afterwards. May be NULL.
     */
    void (*cancel)(const struct fulfill_host *host, struct fulfill_call *call);
    /** Looks at one key of a [module NAME] section of this type, at start and reload, `type` and `upstream`
     * left out. NULL when it can be used, else what would be right, e.g. "expected yes or no": the
     * configuration is refused with it. No I/O. May be NULL: all keys and values are taken. */
    const char *(*check_option)(const char *key, const char *value);
};

#if defined(__GNUC__)
#define FULFILL_EXPORT __attribute__((visibility("default")))
#else
#define FULFILL_EXPORT
#endif

/* The one symbol a plug-in exports: returns its table, which must stay valid; NULL refuses to load. `host`
 * stays valid as long as the process. */
#define FULFILL_MODULE_ENTRY "fulfill_module_entry"
typedef const struct fulfill_module *fulfill_module_entry_fn(const struct fulfill_host *host);
FULFILL_EXPORT fulfill_module_entry_fn fulfill_module_entry; /* defined by the plug-in */

#ifdef __cplusplus
}
#endif
#endif
