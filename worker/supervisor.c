/*
 * The master: reads the configuration, lets a child verify it with everything it names (secrets, CA files,
 * plug-ins), starts the workers, and then only listens: to exits, beats, signals and HTTP. A reload verifies
 * the new file the same way and rolls the workers one by one (roll.c); a bad file changes nothing.
 */
#include "worker/supervisor.h"

#include "common/http_listen.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/metrics.h"
#include "worker/metric_rows.h"
#include "worker/roll.h"
#include "worker/settings.h"
#include "worker/shared.h"
#include "worker/slot.h"
#include "worker/snapshot.h"
#include "worker/status_page.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

enum { TICK_MS = 1000, MAX_WORKERS = 1024 };

struct supervisor {
    const char *config_path;
    struct loop *loop;
    struct settings *settings; /* of the snapshot in force; NULL before the first */
    struct snapshot snapshot;  /* in force: text and memfd */
    struct snapshot candidate; /* being verified */
    struct settings *candidate_settings;
    struct loop_child *verifier;
    int fds[2]; /* what workers get */
    int verify_fds[2];
    struct slot *slots;
    size_t slot_count;
    struct roll roll;
    bool stopping;
    bool started;
    int exit_code;
    struct loop_signal *signals[3];
    struct loop_timer tick;
    int64_t tick_due_ms;
    struct http_listen *listener;
};

static void verify(struct supervisor *supervisor);

/* ---- stopping ---- */

static bool all_stopped(const struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->slot_count; i++) {
        if (supervisor->slots[i].state != SLOT_STOPPED)
            return false;
    }
    return true;
}

static void leave_when_stopped(struct supervisor *supervisor)
{
    if (supervisor->stopping && all_stopped(supervisor))
        loop_stop(supervisor->loop);
}

/* The first word is none for slots that stop already, to be replaced: a second is impatience to them. */
static void stop(struct supervisor *supervisor)
{
    bool again = supervisor->stopping;

    supervisor->stopping = true;
    roll_cancel(&supervisor->roll);
    sd_notify(0, "STOPPING=1");
    for (size_t i = 0; i < supervisor->slot_count; i++) {
        if (again || supervisor->slots[i].state != SLOT_STOPPING)
            slot_handle(&supervisor->slots[i], SLOT_EVENT_STOP);
    }
    leave_when_stopped(supervisor);
}

/* ---- rolling ---- */

static void on_rolled(void *context)
{
    (void)context;
    sd_notify(0, "READY=1");
}

static void on_slot_stopped(void *context, struct slot *slot)
{
    struct supervisor *supervisor = context;

    if (supervisor->stopping) {
        leave_when_stopped(supervisor);
        return;
    }
    if (slot->restart) {
        slot->restart = false;
        slot_handle(slot, SLOT_EVENT_START);
        roll_restarted(&supervisor->roll, slot);
    }
}

/* ---- starting and reloading: the same way, a verified snapshot is adopted ---- */

static size_t worker_count(const struct settings *settings)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    if (settings->worker_processes > 0)
        return (size_t)settings->worker_processes;
    return processors > 0 ? (size_t)processors : 1;
}

static bool make_slots(struct supervisor *supervisor)
{
    size_t workers = worker_count(supervisor->settings);

    if (workers > MAX_WORKERS) {
        log_warning("supervisor.capped", "no more worker processes than this are started on one host",
                    LOG_INT("processes", MAX_WORKERS));
        workers = MAX_WORKERS;
    }
    supervisor->slot_count = workers + 1; /* the last one runs suspects, one at a time */
    supervisor->slots = calloc(supervisor->slot_count, sizeof(*supervisor->slots));
    if (!supervisor->slots)
        return false;
    for (size_t i = 0; i < supervisor->slot_count; i++)
        slot_init(&supervisor->slots[i], supervisor->loop, (int)i, i == workers, supervisor->fds,
                  on_slot_stopped, supervisor);
    roll_init(&supervisor->roll, supervisor->loop, supervisor->slots, supervisor->slot_count, on_rolled,
              supervisor);
    return true;
}

static void answer_http(void *context, const char *path, struct http_listen_answer *answer)
{
    struct supervisor *supervisor = context;

    status_page_answer(path, supervisor->slots, supervisor->slot_count, supervisor->stopping, answer);
}

/* Modules have a label of their own in the metrics, from before their first worker on. */
static void name_modules(const struct settings *settings)
{
    for (size_t i = 0; i < settings->module_count; i++)
        metrics_name_add(settings->modules[i].name);
    for (size_t i = 0; i < settings->mapping_count; i++) {
        if (settings->mappings[i].value[0] != '\0')
            metrics_name_add(settings->mappings[i].value);
    }
}

/* The supervisor's own counters have the slot after the workers'. */
static bool share(struct supervisor *supervisor, struct fault *fault)
{
    supervisor->fds[1] = shared_create(supervisor->slot_count + 1, fault);
    return supervisor->fds[1] >= 0 && shared_attach(supervisor->fds[1], supervisor->slot_count, fault) == OK;
}

static bool listen_http(struct supervisor *supervisor, struct fault *fault)
{
    const char *address = supervisor->settings->http_listen;

    if (!address)
        return true;
    supervisor->listener = http_listen_open(supervisor->loop, address, answer_http, supervisor, fault);
    return supervisor->listener != NULL;
}

static bool start_first(struct supervisor *supervisor)
{
    struct fault fault = fault_of(ERR_NOMEM);

    if (!make_slots(supervisor) || !share(supervisor, &fault) || !listen_http(supervisor, &fault)) {
        log_error("supervisor.failed", "cannot start", LOG_STR("why", fault.detail));
        return false;
    }
    name_modules(supervisor->settings);
    for (size_t i = 0; i < supervisor->slot_count; i++)
        slot_handle(&supervisor->slots[i], SLOT_EVENT_START);
    supervisor->started = true;
    log_info(
        "supervisor.started", "fulfilld is running", LOG_INT("workers", supervisor->slot_count - 1),
        LOG_STR("listen", supervisor->settings->http_listen ? supervisor->settings->http_listen : "off"));
    sd_notify(0, "READY=1");
    return true;
}

static void adopt(struct supervisor *supervisor)
{
    settings_free(supervisor->settings);
    snapshot_close(&supervisor->snapshot);
    supervisor->settings = supervisor->candidate_settings;
    supervisor->snapshot = supervisor->candidate;
    supervisor->candidate = (struct snapshot)SNAPSHOT_NONE;
    supervisor->candidate_settings = NULL;
    supervisor->fds[0] = supervisor->snapshot.fd;
    log_configure((enum log_level)supervisor->settings->log_level,
                  (enum log_format)supervisor->settings->log_format);
    if (!supervisor->started) {
        if (!start_first(supervisor)) {
            supervisor->exit_code = 1;
            loop_stop(supervisor->loop);
        }
        return;
    }
    name_modules(supervisor->settings);
    log_info("supervisor.reloaded", "the new configuration is in force; workers are replaced one by one");
    roll_begin(&supervisor->roll);
}

static void refuse(struct supervisor *supervisor)
{
    settings_free(supervisor->candidate_settings);
    supervisor->candidate_settings = NULL;
    snapshot_close(&supervisor->candidate);
    if (!supervisor->started) {
        supervisor->exit_code = 2;
        loop_stop(supervisor->loop);
        return;
    }
    log_error("supervisor.reload_refused", "the new configuration is refused; the old one stays in force");
    sd_notify(0, "READY=1");
}

static void on_verified(void *context, int exit_status, int term_signal)
{
    struct supervisor *supervisor = context;

    (void)term_signal;
    loop_child_free(supervisor->verifier);
    supervisor->verifier = NULL;
    if (supervisor->stopping) {
        leave_when_stopped(supervisor);
        return;
    }
    if (exit_status == 0)
        adopt(supervisor);
    else
        refuse(supervisor);
}

static void verify(struct supervisor *supervisor)
{
    char master[16];
    char *argv[] = {"fulfilld", "worker", "--verify", "--master", master, NULL};
    struct fault fault = fault_of(OK);

    if (supervisor->verifier)
        return;
    snprintf(master, sizeof(master), "%d", (int)getpid());
    if (snapshot_take(supervisor->config_path, &supervisor->candidate, &fault) == OK)
        supervisor->candidate_settings = settings_load_text(
            supervisor->config_path, supervisor->candidate.text, strlen(supervisor->candidate.text), &fault);
    if (!supervisor->candidate_settings) {
        log_error("config.invalid", "the configuration cannot be used", LOG_STR("why", fault.detail));
        refuse(supervisor);
        return;
    }
    supervisor->verify_fds[0] = supervisor->candidate.fd;
    supervisor->verifier = loop_child_new(supervisor->loop, "/proc/self/exe", argv, supervisor->verify_fds, 1,
                                          on_verified, supervisor, &fault);
    if (!supervisor->verifier) {
        log_error("config.invalid", "the configuration cannot be verified", LOG_STR("why", fault.detail));
        refuse(supervisor);
    }
}

/* ---- what comes from outside ---- */

static void on_signal(void *context, int signum)
{
    struct supervisor *supervisor = context;

    if (signum == SIGHUP && !supervisor->stopping) {
        sd_notify(0, "RELOADING=1");
        verify(supervisor);
        return;
    }
    if (signum != SIGHUP && supervisor->started)
        stop(supervisor); /* a second one makes each worker leave at once */
    else if (signum != SIGHUP)
        loop_stop(supervisor->loop);
}

/* A worker that has only just been started has not beaten yet. */
static int64_t last_beat_ms(const struct slot *slot)
{
    int64_t beat_ms = metrics_slot_beat_ms((size_t)slot->index);

    return beat_ms > slot->started_ms ? beat_ms : slot->started_ms;
}

/* A worker that leaks is replaced as by a reload: it hands back what it cannot finish. */
static void replace_if_grown(struct supervisor *supervisor, struct slot *slot, int64_t bytes)
{
    int64_t most = supervisor->settings->worker_max_memory_bytes;

    if (most == 0 || bytes <= most || slot->state != SLOT_RUNNING)
        return;
    log_error("worker.grown", "a worker holds more than worker.max_memory and is replaced",
              LOG_INT("slot", slot->index), LOG_INT("bytes", bytes));
    metrics_add(METRIC_worker_replaced_total, 0, 1);
    slot->restart = true;
    slot_handle(slot, SLOT_EVENT_STOP);
}

static void watch_memory(struct supervisor *supervisor)
{
    int64_t largest = 0;

    for (size_t i = 0; i < supervisor->slot_count; i++) {
        int64_t bytes = slot_memory_bytes(&supervisor->slots[i]);

        largest = bytes > largest ? bytes : largest;
        replace_if_grown(supervisor, &supervisor->slots[i], bytes);
    }
    metrics_set(METRIC_worker_memory_bytes, 0, largest);
}

static void on_tick(struct loop_timer *timer)
{
    struct supervisor *supervisor = container_of(timer, struct supervisor, tick);
    int64_t now_ms = loop_now_ms(supervisor->loop);
    bool late = now_ms - supervisor->tick_due_ms > TICK_MS;

    supervisor->tick_due_ms = now_ms + TICK_MS;
    loop_timer_start(timer, TICK_MS);
    if (late) /* the whole machine, or all of us, stood still: let the workers beat first */
        return;
    for (size_t i = 0; i < supervisor->slot_count; i++) {
        struct slot *slot = &supervisor->slots[i];

        if (slot_has_process(slot) &&
            now_ms - last_beat_ms(slot) > supervisor->settings->worker_hang_timeout_ms)
            slot_handle(slot, SLOT_EVENT_HUNG);
    }
    if (!supervisor->stopping)
        watch_memory(supervisor);
}

static void fini(struct supervisor *supervisor)
{
    http_listen_close(supervisor->listener);
    loop_timer_stop(&supervisor->tick);
    for (size_t i = 0; i < 3; i++)
        loop_signal_free(supervisor->signals[i]);
    loop_child_free(supervisor->verifier);
    roll_cancel(&supervisor->roll);
    for (size_t i = 0; i < supervisor->slot_count; i++)
        loop_timer_stop(&supervisor->slots[i].timer);
    free(supervisor->slots);
    settings_free(supervisor->settings);
    snapshot_close(&supervisor->snapshot);
    settings_free(supervisor->candidate_settings);
    snapshot_close(&supervisor->candidate);
    if (supervisor->fds[1] >= 0)
        close(supervisor->fds[1]);
    loop_run(supervisor->loop);
    loop_free(supervisor->loop);
}

int supervisor_run(const char *config_path)
{
    static const int signums[] = {SIGTERM, SIGINT, SIGHUP};
    struct supervisor supervisor = {
        .config_path = config_path,
        .fds = {-1, -1},
        .snapshot = SNAPSHOT_NONE,
        .candidate = SNAPSHOT_NONE,
    };

    signal(SIGPIPE, SIG_IGN);
    log_identify("master", 0);
    supervisor.loop = loop_new();
    if (!supervisor.loop)
        return 1;
    for (size_t i = 0; i < 3; i++)
        supervisor.signals[i] = loop_signal_new(supervisor.loop, signums[i], on_signal, &supervisor);
    loop_timer_init(&supervisor.tick, supervisor.loop, on_tick);
    supervisor.tick_due_ms = loop_now_ms(supervisor.loop) + TICK_MS;
    loop_timer_start(&supervisor.tick, TICK_MS);
    verify(&supervisor);
    if (supervisor.exit_code == 0)
        loop_run(supervisor.loop);
    fini(&supervisor);
    return supervisor.exit_code;
}
