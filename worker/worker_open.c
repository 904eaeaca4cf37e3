/*
 * Opens what a worker stands on, in the order of dependence, and closes it in the other direction.
 * Called by worker.c; `fulfilld worker --verify` opens all of it without running the loop, which proves that
 * secrets, CA files and plug-ins can be used.
 */
#include "worker/worker_open.h"

#include "common/log.h"
#include "worker/links_open.h"
#include "worker/shared.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* "host/pid/slot": unique among the processes of a pool, and of use to a person. */
static void make_owner(struct worker *worker)
{
    char host[65] = "localhost";

    gethostname(host, sizeof(host) - 1);
    snprintf(worker->owner, sizeof(worker->owner), "%s/%d/%d", host, (int)getpid(), worker->slot);
}

/* One upstream's waiting lines take a quarter of the orders in hand at the most. */
enum { WAITING_SHARE = 4 };

static size_t upstreams_in_use(const struct settings *settings)
{
    size_t count = 0;

    for (size_t i = 0; i < settings->upstream_count; i++)
        count += settings->upstreams[i].base_url != NULL;
    return count;
}

static enum err open_upstreams(struct worker *worker, upstream_state_fn *on_upstream, struct fault *ret_fault)
{
    const struct settings *settings = worker->settings;
    struct upstream_common common = {
        .loop = worker->loop,
        .store = worker->store,
        .redis_prefix = settings->redis_prefix,
        .retry_max_delay_ms = settings->retry_max_delay_ms,
        .on_state = on_upstream,
        .context = worker,
    };

    if (upstreams_in_use(settings) > 1)
        common.max_waiting = (size_t)settings->worker_concurrency / WAITING_SHARE + 1;
    worker->upstreams = calloc(settings->upstream_count, sizeof(*worker->upstreams));
    if (!worker->upstreams) {
        *ret_fault = fault_of(ERR_NOMEM);
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < settings->upstream_count; i++) {
        if (!settings->upstreams[i].base_url)
            continue;
        worker->upstreams[worker->upstream_count] = upstream_new(&common, &settings->upstreams[i], ret_fault);
        if (!worker->upstreams[worker->upstream_count])
            return ret_fault->code;
        worker->upstream_count++;
    }
    return OK;
}

static enum err open_ledger(struct worker *worker, struct fault *ret_fault)
{
    struct ledger_options options = {
        .prefix = worker->settings->redis_prefix,
        .owner = worker->owner,
        .lease_ms = worker->settings->worker_lease_ms,
        .keep_ms = worker->settings->redis_keep_ms,
    };

    worker->ledger = ledger_new(worker->store, &options);
    if (!worker->ledger)
        *ret_fault = fault_of(ERR_NOMEM);
    return worker->ledger ? OK : ERR_NOMEM;
}

static void read_limits(struct worker *worker)
{
    const struct settings *settings = worker->settings;

    worker->retry = (struct retry_limits){
        .first_delay_ms = settings->retry_first_delay_ms,
        .max_delay_ms = settings->retry_max_delay_ms,
        .max_attempts = settings->retry_max_attempts,
        .window_ms = settings->retry_window_ms,
        .doubtful_attempts = settings->retry_doubtful_attempts,
    };
}

enum err worker_open(struct worker *worker, const struct worker_callbacks *callbacks, struct fault *ret_fault)
{
    enum err err;

    make_owner(worker);
    read_limits(worker);
    worker->loop = loop_new();
    if (!worker->loop) {
        *ret_fault = fault_of(ERR_NOMEM);
        return ERR_NOMEM;
    }
    worker_links_init(worker);
    worker->signals[0] = loop_signal_new(worker->loop, SIGTERM, callbacks->on_signal, worker);
    worker->signals[1] = loop_signal_new(worker->loop, SIGINT, callbacks->on_signal, worker);
    err = links_open_store(worker->loop, worker->settings, callbacks->on_store, worker, &worker->store,
                           ret_fault);
    if (err == OK)
        err = open_ledger(worker, ret_fault);
    if (err == OK)
        err = open_upstreams(worker, callbacks->on_upstream, ret_fault);
    if (err == OK) {
        worker->modules = module_host_new(worker->loop, worker->settings, worker->upstreams,
                                          worker->upstream_count, ret_fault);
        err = worker->modules ? OK : ret_fault->code;
    }
    if (err == OK)
        err = links_open_broker(worker->loop, worker->settings, worker->owner, &callbacks->broker, worker,
                                &worker->broker, ret_fault);
    return err;
}

void worker_close(struct worker *worker)
{
    loop_timer_stop(&worker->tick);
    loop_timer_stop(&worker->drain_timer);
    loop_timer_stop(&worker->exit_timer);
    loop_timer_stop(&worker->open_timer);
    worker_links_fini(worker);
    worker_look_stop(worker);
    loop_signal_free(worker->signals[0]);
    loop_signal_free(worker->signals[1]);
    broker_consumer_free(worker->consumer);
    broker_close(worker->broker);
    module_host_free(worker->modules);
    for (size_t i = 0; i < worker->upstream_count; i++)
        upstream_free(worker->upstreams[i]);
    store_close(worker->store);
}

void worker_free(struct worker *worker)
{
    if (worker->loop)
        loop_run(worker->loop); /* what is closing ends here */
    ledger_free(worker->ledger);
    free(worker->upstreams);
    loop_free(worker->loop);
}

/* ---- what Redis may do to us, and what the upstreams do ---- */

static void on_eviction_policy(struct store_op *op, const struct store_reply *reply,
                               const struct fault *fault)
{
    struct worker *worker = container_of(op, struct worker, eviction_op);
    const char *policy = reply ? store_reply_str(store_reply_at(reply, 1), NULL) : "";
    bool evicts = fault->code == OK && policy[0] && strcmp(policy, "noeviction") != 0;

    if (evicts && !worker->eviction_told)
        log_warning("redis.evicts",
                    "Redis may evict keys (maxmemory-policy): counters of waiting orders could be lost. Set "
                    "maxmemory-policy noeviction",
                    LOG_STR("policy", policy));
    if (fault->code == OK)
        worker->eviction_told = evicts;
}

void worker_check_eviction(struct worker *worker)
{
    const struct store_arg args[] = {STORE_ARG("CONFIG"), STORE_ARG("GET"), STORE_ARG("maxmemory-policy")};

    if (!store_op_active(&worker->eviction_op))
        store_command_start(worker->store, &worker->eviction_op, args, ARRAY_LEN(args), on_eviction_policy);
}

void worker_tell_upstreams(struct worker *worker)
{
    char note[SHARED_NOTE_BYTES] = "";
    size_t length = 0;

    for (size_t i = 0; i < worker->upstream_count && length < sizeof(note); i++)
        length += (size_t)snprintf(note + length, sizeof(note) - length, "%s: %s\n",
                                   upstream_name(worker->upstreams[i]), upstream_words(worker->upstreams[i]));
    shared_note(note);
}
