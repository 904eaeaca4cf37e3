/*
 * The parts of the module host, private to module_*.c: which modules there are (module_host.c,
 * module_plugins.c), and one line's call with the host's functions (module_call.c, module_services.c).
 */
#ifndef FULFILLD_WORKER_MODULE_PARTS_H
#define FULFILLD_WORKER_MODULE_PARTS_H

#include "common/digest.h"
#include "common/log.h"
#include "worker/module_host.h"
#include "worker/outcome.h"

enum { MODULE_MAX_EVENTS = 16, MODULE_MAX_RESULT_BYTES = 16 * 1024 };

struct module_pair {
    char *key, *value; /* owned */
};

/* A module of the [modules] section: a type (built in or plugged in) with its section's keys. */
struct module_entry {
    char name[LINE_MODULE_BYTES];
    struct fulfill_module table; /* padded with NULL where the plug-in's is smaller */
    struct upstream *upstream;   /* NULL = it has none, or that has no base_url */
    size_t metric;               /* place of its name among the metrics' names */
    struct module_pair *options; /* owned */
    size_t option_count;
    struct module_pair *secrets; /* owned: key of an option that names a file → its contents */
    size_t secret_count;
};

/* A type of module: what [module NAME] type = …, or a name in [modules], may say. */
struct module_type {
    struct fulfill_module table; /* padded */
    const char *from;            /* "built in", or the plug-in's path (owned by plugin) */
};

struct module_plugin {
    void *library;
    char *path; /* owned */
};

struct module_host {
    struct loop *loop;
    struct module_type *types;
    size_t type_count;
    struct module_plugin *plugins;
    size_t plugin_count;
    struct module_entry *entries; /* fixed once the host is made */
    size_t entry_count;
    const struct settings *settings;
    struct upstream *const *upstreams;
    size_t upstream_count;
};

/* ---- module_host.c ---- */
struct module_entry *module_host_find(struct module_host *host, const char *product_class);
/** Adds a type after checking it: name, functions, no other of that name. `from` must live as long as the
 * host. */
enum err module_host_add_type(struct module_host *host, const struct fulfill_module *table, const char *from,
                              struct fault *ret_fault);

/* ---- module_plugins.c ---- */
enum err module_plugins_load(struct module_host *host, const char *directory, struct fault *ret_fault);
enum err module_plugins_load_file(struct module_host *host, const char *path, struct fault *ret_fault);
void module_plugins_unload(struct module_host *host);

/* ---- module_call.c: one line ---- */

struct call_exchange {
    struct upstream_call up;
    struct fulfill_call *call;
    fulfill_answer_fn *fn;
    void *context;
    bool started; /* else it waits for the admission */
    bool writes;  /* no GET or HEAD: it may have its effect */
    struct call_exchange *prev, *next;
};

struct call_wait {
    struct loop_timer timer;
    struct fulfill_call *call;
    fulfill_wait_fn *fn;
    void *context;
    struct call_wait *prev, *next;
};

enum call_admission { CALL_NOT_ASKED, CALL_ASKING, CALL_ADMITTED };

struct fulfill_call {
    struct module_host *host;
    struct module_entry *entry; /* NULL = no module for the product class */
    struct line_run *run;
    void *state; /* the module's */
    size_t state_bytes;
    struct call_exchange *exchanges;
    struct call_wait *waits;
    struct loop_timer deadline;
    struct loop_task end_task;
    struct admit_op admit;
    struct report_op report;
    enum call_admission admission;
    bool probe;
    bool no_upstream; /* asked for one that is not configured: ends when the deadline's timer runs */
    bool in_module;   /* fulfill_product() or refund_product() has been called */
    bool finished;    /* result is set; only ends are awaited */
    bool ending;      /* end_task is queued, or the report runs */
    bool asked;       /* an exchange came to an end after it was sent */
    bool wrote;       /* a writing exchange was sent */
    bool doubt;       /* given up when something had been written, or was under way: its effect is unknown */
    bool postponed;   /* not run, or not to its end, and for no fault of its own */
    int64_t postponed_until_ms;
    struct fulfill_result result;
    char message[LINE_MESSAGE_BYTES];
    char reason[LINE_REASON_BYTES];
    char *result_json;               /* owned */
    char words[OUTCOME_WORDS_BYTES]; /* of the last judge() */
    const struct outcome_row *row;   /* of the last judge() */
    char idempotency_key[40];
    char *line_json, *known_json; /* owned; made when asked for */
};

/** Ends the call with a word of the table, by the host's own doing; cancels the module when it is under way.
 */
void module_call_abort(struct fulfill_call *call, const char *finding);
/** Ends the call as postponed. */
void module_call_postpone(struct fulfill_call *call, int64_t until_ms);
void module_call_finish(struct fulfill_call *call, const struct fulfill_result *result);
int module_call_http(struct fulfill_call *call, const struct fulfill_request *request,
                     fulfill_answer_fn *done, void *context);
int module_call_wait(struct fulfill_call *call, int64_t delay_ms, fulfill_wait_fn *done, void *context);
void module_call_judge(struct fulfill_call *call, enum fulfill_operation operation,
                       const struct fulfill_answer *answer, const char *finding,
                       struct fulfill_result *ret_result);

/* ---- module_services.c: the table handed to modules ---- */
extern const struct fulfill_host module_services;

/* The built-in modules, worker/modules/. */
extern const struct fulfill_module module_enrollment, module_entitlement, module_none, module_webhook;

#endif
