/*
 * The breaker of an upstream and its pauses, one for the whole pool: Redis decides (scripts/breaker_*.lua),
 * this file keeps a view of it. A view is renewed with the claims (upstream_refresh), so that no line runs on
 * older news than its claim, and twice a second for what waits here and for /readyz. While Redis is away the
 * view goes on by itself, in this process alone. Called by worker.c (refresh), module_call.c (admit, report)
 * and by the other parts.
 */
#include "worker/scripts.h"
#include "worker/upstream_parts.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    POLL_MS = 500,
    STALE_MS = 1000,          /* a view older than this is not trusted for an admission */
    PROBE_OUT_WAIT_MS = 2000, /* what waits for another's probe comes back after this */
    AWAY_WAIT_MS = 1000       /* the same when Redis cannot be asked for a probe */
};

static void on_poll_timer(struct loop_timer *timer);
static void on_turn_timer(struct loop_timer *timer);

/* ---- the view ---- */

int64_t breaker_now_ms(const struct upstream *upstream)
{
    return loop_now_ms(upstream->loop) + upstream->view.clock_offset_ms;
}

enum breaker_state upstream_breaker(const struct upstream *upstream)
{
    const struct breaker_view *view = &upstream->view;

    if (view->open_until_ms == 0)
        return BREAKER_CLOSED;
    return breaker_now_ms(upstream) < view->open_until_ms ? BREAKER_OPEN : BREAKER_HALF_OPEN;
}

int64_t upstream_closed_until_ms(const struct upstream *upstream)
{
    const struct breaker_view *view = &upstream->view;
    int64_t now_ms = breaker_now_ms(upstream), until_ms = view->pause_until_ms;

    if (view->open_until_ms > until_ms)
        until_ms = view->open_until_ms;
    if (view->open_until_ms > 0 && view->probe_until_ms > until_ms)
        until_ms = view->probe_until_ms;
    return until_ms > now_ms ? until_ms : 0;
}

int64_t breaker_holds_until_ms(const struct upstream *upstream)
{
    int64_t until_ms = upstream_closed_until_ms(upstream),
            soon_ms = breaker_now_ms(upstream) + PROBE_OUT_WAIT_MS;

    if (upstream_breaker(upstream) == BREAKER_HALF_OPEN && (until_ms == 0 || until_ms > soon_ms))
        return soon_ms;
    return until_ms;
}

static void format_time(int64_t wall_ms, char out[24])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;

    if (!gmtime_r(&seconds, &parts) || strftime(out, 24, "%H:%M:%SZ", &parts) == 0)
        strcpy(out, "?");
}

const char *upstream_words(const struct upstream *upstream)
{
    const struct breaker_view *view = &upstream->view;
    char *shown = ((struct upstream *)(uintptr_t)upstream)->shown; /* STYLE: a cache, no state */
    const char *separator = view->words[0] != '\0' ? ": " : "";
    char until[24];

    switch (upstream_breaker(upstream)) {
    case BREAKER_OPEN:
        format_time(view->open_until_ms, until);
        snprintf(shown, sizeof(upstream->shown), "open until %s%s%s", until, separator, view->words);
        return shown;
    case BREAKER_HALF_OPEN:
        snprintf(shown, sizeof(upstream->shown), "half-open, one order tries it%s%s", separator, view->words);
        return shown;
    case BREAKER_CLOSED:
        break;
    }
    if (view->pause_until_ms <= breaker_now_ms(upstream))
        return "closed";
    format_time(view->pause_until_ms, until);
    snprintf(shown, sizeof(upstream->shown), "waits until %s as it asked (Retry-After)", until);
    return shown;
}

/* Tells whoever listens when something changed, and sets the timer for what changes by time alone. */
static void tell(struct upstream *upstream)
{
    enum breaker_state state = upstream_breaker(upstream);
    int64_t until_ms = upstream_closed_until_ms(upstream);
    bool reopened = upstream->told_state != BREAKER_CLOSED && state == BREAKER_CLOSED;
    bool changed = state != upstream->told_state || until_ms != upstream->told_until_ms;

    if (reopened || (upstream->told_until_ms > 0 && until_ms == 0 && state == BREAKER_CLOSED))
        limit_slow_start(upstream);
    upstream->told_state = state;
    upstream->told_until_ms = until_ms;
    if (until_ms > 0)
        loop_timer_start(&upstream->turn_timer, until_ms - breaker_now_ms(upstream));
    else
        loop_timer_stop(&upstream->turn_timer);
    if (!changed || upstream->closing)
        return;
    limit_pump(upstream);
    if (upstream->on_state)
        upstream->on_state(upstream->context, upstream);
}

static void on_turn_timer(struct loop_timer *timer)
{
    tell(container_of(timer, struct upstream, turn_timer));
}

/* Takes the columns of the upstream's hash from `first` on. Of no use before its clock is known as well. */
static void take_columns(struct upstream *upstream, const struct store_reply *reply, size_t first)
{
    struct breaker_view *view = &upstream->view;

    if (store_reply_count(reply) < first + 6)
        return;
    view->failures = store_reply_int(store_reply_at(reply, first));
    view->open_until_ms = store_reply_int(store_reply_at(reply, first + 1));
    view->opens = store_reply_int(store_reply_at(reply, first + 2));
    view->probe_until_ms = store_reply_int(store_reply_at(reply, first + 3));
    view->pause_until_ms = store_reply_int(store_reply_at(reply, first + 4));
    snprintf(view->words, sizeof(view->words), "%s", store_reply_str(store_reply_at(reply, first + 5), NULL));
    if (view->clock_known)
        view->seen_ms = loop_now_ms(upstream->loop);
    tell(upstream);
}

/* Takes a script's word: Redis' clock, then the columns, from `first` on. */
static void look(struct upstream *upstream, const struct store_reply *reply, size_t first)
{
    int64_t now_ms = store_reply_int(store_reply_at(reply, first));

    if (now_ms <= 0)
        return;
    upstream->view.clock_offset_ms = now_ms - loop_now_ms(upstream->loop);
    upstream->view.clock_known = true;
    take_columns(upstream, reply, first + 1);
}

/* ---- the poll ---- */

static void on_state_reply(struct store_op *op, const struct store_reply *reply, const struct fault *fault)
{
    struct upstream *upstream = container_of(op, struct upstream, poll_op);

    if (fault->code == OK)
        look(upstream, reply, 0);
    upstream_release(upstream);
}

static void on_columns_reply(struct store_op *op, const struct store_reply *reply, const struct fault *fault)
{
    struct upstream *upstream = container_of(op, struct upstream, poll_op);

    if (fault->code == OK)
        take_columns(upstream, reply, 0);
    upstream_release(upstream);
}

static bool may_ask(const struct upstream *upstream)
{
    return !upstream->closing && upstream_has_store(upstream) && !store_op_active(&upstream->poll_op);
}

/* A plain command: with each claim, a script would cost as much again as the claim's own. */
void upstream_refresh(struct upstream *upstream)
{
    const struct store_arg args[] = {STORE_ARG("HMGET"),       STORE_ARG(upstream->breaker_key),
                                     STORE_ARG("failures"),    STORE_ARG("open_until"),
                                     STORE_ARG("opens"),       STORE_ARG("probe_until"),
                                     STORE_ARG("pause_until"), STORE_ARG("words")};

    if (!may_ask(upstream))
        return;
    upstream_hold(upstream);
    store_command_start(upstream->store, &upstream->poll_op, args, ARRAY_LEN(args), on_columns_reply);
}

static void poll(struct upstream *upstream)
{
    struct store_arg key = STORE_ARG(upstream->breaker_key);

    if (!may_ask(upstream))
        return;
    upstream_hold(upstream);
    store_script_start(upstream->store, &upstream->poll_op, scripts_find("breaker_state"), &key, 1, NULL, 0,
                       on_state_reply);
}

static void on_poll_timer(struct loop_timer *timer)
{
    poll(container_of(timer, struct upstream, poll_timer));
    loop_timer_start(timer, POLL_MS);
}

void breaker_start(struct upstream *upstream)
{
    upstream->view.clock_offset_ms = loop_wall_us(upstream->loop) / 1000 - loop_now_ms(upstream->loop);
    upstream->view.seen_ms = loop_now_ms(upstream->loop) - STALE_MS - 1;
    loop_timer_init(&upstream->poll_timer, upstream->loop, on_poll_timer);
    loop_timer_init(&upstream->turn_timer, upstream->loop, on_turn_timer);
    if (upstream->store)
        loop_timer_start(&upstream->poll_timer, POLL_MS);
}

void breaker_stop(struct upstream *upstream)
{
    loop_timer_stop(&upstream->poll_timer);
    loop_timer_stop(&upstream->turn_timer);
    if (store_op_active(&upstream->poll_op))
        store_op_cancel(&upstream->poll_op);
}

/* ---- admission ---- */

static void end_admission(struct admit_op *op, enum admission admission, int64_t until_ms)
{
    struct upstream *upstream = op->upstream;

    op->in_flight = false;
    upstream->crowd.admitting--;
    op->done(op, admission, until_ms);
    upstream_release(upstream);
}

static void on_admit_task(struct loop_task *task)
{
    struct admit_op *op = container_of(task, struct admit_op, task);

    end_admission(op, op->admission, op->until_ms);
}

static void on_probe_reply(struct store_op *store, const struct store_reply *reply, const struct fault *fault)
{
    struct admit_op *op = container_of(store, struct admit_op, store);
    struct upstream *upstream = op->upstream;

    if (fault->code != OK) {
        bool closed = upstream_breaker(upstream) == BREAKER_CLOSED && upstream_closed_until_ms(upstream) == 0;
        end_admission(op, closed ? ADMITTED : POSTPONED,
                      closed ? 0 : breaker_now_ms(upstream) + AWAY_WAIT_MS);
        return;
    }
    int64_t word = store_reply_int(store_reply_at(reply, 0));
    look(upstream, reply, 1);
    if (word == 1)
        end_admission(op, ADMITTED_AS_PROBE, 0);
    else if (word == 0)
        end_admission(op, ADMITTED, 0);
    else
        end_admission(op, POSTPONED, breaker_holds_until_ms(upstream));
}

static void ask_redis(struct upstream *upstream, struct admit_op *op)
{
    char lease[24];

    snprintf(lease, sizeof(lease), "%lld", (long long)upstream->breaker.probe_ms);
    struct store_arg key = STORE_ARG(upstream->breaker_key), arg = STORE_ARG(lease);
    store_script_start(upstream->store, &op->store, scripts_find("breaker_probe"), &key, 1, &arg, 1,
                       on_probe_reply);
}

/* Without Redis: the view alone. One probe at a time, in this process. */
static void decide_alone(struct upstream *upstream, struct admit_op *op)
{
    int64_t until_ms = upstream_closed_until_ms(upstream);

    op->admission = ADMITTED;
    op->until_ms = until_ms;
    if (until_ms > 0) {
        op->admission = POSTPONED;
        op->until_ms = breaker_holds_until_ms(upstream);
    } else if (upstream_breaker(upstream) == BREAKER_HALF_OPEN) {
        op->admission = ADMITTED_AS_PROBE;
        upstream->view.probe_until_ms = breaker_now_ms(upstream) + upstream->breaker.probe_ms;
    }
    loop_task_start(&op->task);
}

void upstream_admit(struct upstream *upstream, struct admit_op *op, admit_fn *done)
{
    int64_t age_ms = loop_now_ms(upstream->loop) - upstream->view.seen_ms;
    int64_t until_ms = upstream_closed_until_ms(upstream);

    *op = (struct admit_op){.done = done, .upstream = upstream, .in_flight = true};
    loop_task_init(&op->task, upstream->loop, on_admit_task);
    upstream_hold(upstream);
    bool full = crowd_is_full(upstream);
    upstream->crowd.admitting++;
    if (upstream->closing) {
        op->admission = POSTPONED;
        op->until_ms = breaker_now_ms(upstream) + AWAY_WAIT_MS;
        loop_task_start(&op->task);
    } else if (!upstream_has_store(upstream)) {
        decide_alone(upstream, op);
    } else if (upstream_breaker(upstream) == BREAKER_HALF_OPEN && until_ms == 0) {
        ask_redis(upstream, op);
    } else if (until_ms > 0) {
        op->admission = POSTPONED;
        op->until_ms = breaker_holds_until_ms(upstream);
        loop_task_start(&op->task);
    } else if (age_ms > STALE_MS) {
        ask_redis(upstream, op);
    } else if (full) {
        op->admission = POSTPONED;
        op->until_ms = crowd_turn_ms(upstream);
        loop_task_start(&op->task);
    } else {
        op->admission = ADMITTED;
        loop_task_start(&op->task);
    }
}

/* ---- reports ---- */

static const char *kind_of(const struct upstream_news *news)
{
    if (news->decision == FULFILL_PAUSE)
        return "pause";
    if (news->decision == FULFILL_WAIT)
        return "wait";
    switch (news->health) {
    case FULFILL_HEALTH_GOOD:
        return "good";
    case FULFILL_HEALTH_BAD:
        return "bad";
    case FULFILL_HEALTH_UNKNOWN:
        break;
    }
    return "none";
}

/* Retry-After in ms, no longer than is obeyed. Unknown: 0, the line's own backoff decides. */
static int64_t pause_ms(const struct upstream *upstream, const struct upstream_news *news)
{
    int64_t longest_ms = upstream->breaker.max_pause_ms;

    if (news->retry_after_s <= 0)
        return 0;
    return news->retry_after_s > longest_ms / 1000 ? longest_ms : news->retry_after_s * 1000;
}

static void open_alone(struct upstream *upstream, const char *words)
{
    struct breaker_view *view = &upstream->view;
    int64_t open_for_ms = upstream->breaker.open_for_ms;

    for (int64_t i = 0; i < view->opens && open_for_ms < upstream->breaker.max_open_for_ms; i++)
        open_for_ms *= 2;
    if (open_for_ms > upstream->breaker.max_open_for_ms)
        open_for_ms = upstream->breaker.max_open_for_ms;
    view->open_until_ms = breaker_now_ms(upstream) + open_for_ms;
    view->opens++;
    view->probe_until_ms = 0;
    snprintf(view->words, sizeof(view->words), "%s", words);
}

/* What breaker_report.lua does, on the view: Redis is away. Returns whether a failure costs an attempt. */
static bool report_alone(struct upstream *upstream, const struct upstream_news *news, const char *words)
{
    struct breaker_view *view = &upstream->view;
    bool open = view->open_until_ms > 0;
    bool failed = news->decision == FULFILL_PAUSE || news->health == FULFILL_HEALTH_BAD;
    int64_t until_ms = breaker_now_ms(upstream) + pause_ms(upstream, news);

    if (news->decision == FULFILL_WAIT && until_ms > view->pause_until_ms)
        view->pause_until_ms = until_ms;
    if (failed && open && news->probe)
        open_alone(upstream, words);
    else if (failed && !open && news->decision != FULFILL_WAIT &&
             (++view->failures >= upstream->breaker.failures || news->decision == FULFILL_PAUSE))
        open_alone(upstream, words);
    else if (!failed && news->health == FULFILL_HEALTH_UNKNOWN && news->probe)
        view->probe_until_ms = 0;
    else if (!failed && news->health == FULFILL_HEALTH_GOOD && (news->probe || !open))
        view->failures = view->open_until_ms = view->opens = view->probe_until_ms = 0;
    tell(upstream);
    return !open && news->decision != FULFILL_PAUSE && news->decision != FULFILL_WAIT;
}

static void on_report_task(struct loop_task *task)
{
    struct report_op *op = container_of(task, struct report_op, task);
    struct upstream *upstream = op->upstream;

    op->in_flight = false;
    op->done(op, op->costs);
    upstream_release(upstream);
}

static void on_report_reply(struct store_op *store, const struct store_reply *reply,
                            const struct fault *fault)
{
    struct report_op *op = container_of(store, struct report_op, store);
    struct upstream *upstream = op->upstream;

    if (fault->code == OK) {
        op->costs = store_reply_int(store_reply_at(reply, 0)) == 1;
        look(upstream, reply, 1);
    } else {
        op->costs = report_alone(upstream, &op->news, "");
    }
    on_report_task(&op->task);
}

static void tell_redis(struct upstream *upstream, struct report_op *op, const char *words)
{
    char limit[24], open_for[24], max_open_for[24], pause[24];

    snprintf(limit, sizeof(limit), "%lld", (long long)upstream->breaker.failures);
    snprintf(open_for, sizeof(open_for), "%lld", (long long)upstream->breaker.open_for_ms);
    snprintf(max_open_for, sizeof(max_open_for), "%lld", (long long)upstream->breaker.max_open_for_ms);
    snprintf(pause, sizeof(pause), "%lld", (long long)pause_ms(upstream, &op->news));
    struct store_arg key = STORE_ARG(upstream->breaker_key);
    struct store_arg args[] = {STORE_ARG(kind_of(&op->news)),
                               STORE_ARG(op->news.probe ? "1" : "0"),
                               STORE_ARG(limit),
                               STORE_ARG(open_for),
                               STORE_ARG(max_open_for),
                               STORE_ARG(pause),
                               STORE_ARG(words),
                               STORE_ARG(op->news.health == FULFILL_HEALTH_BAD ? "1" : "0")};
    store_script_start(upstream->store, &op->store, scripts_find("breaker_report"), &key, 1, args,
                       ARRAY_LEN(args), on_report_reply);
}

void upstream_report(struct upstream *upstream, struct report_op *op, const struct upstream_news *news,
                     report_fn *done)
{
    struct breaker_view *view = &upstream->view;
    bool plain = news->decision != FULFILL_PAUSE && news->decision != FULFILL_WAIT && !news->probe;
    /* Nothing that Redis does not know already. */
    bool silent = plain && (news->health == FULFILL_HEALTH_UNKNOWN ||
                            (news->health == FULFILL_HEALTH_GOOD && view->failures == 0));
    char words[UPSTREAM_WORDS_BYTES];

    *op = (struct report_op){
        .done = done, .upstream = upstream, .news = *news, .costs = true, .in_flight = true};
    op->news.words = "";
    snprintf(words, sizeof(words), "%s", news->words ? news->words : "");
    loop_task_init(&op->task, upstream->loop, on_report_task);
    upstream_hold(upstream);
    if (silent) {
        loop_task_start(&op->task);
        return;
    }
    if (!upstream_has_store(upstream)) {
        op->costs = report_alone(upstream, news, words);
        loop_task_start(&op->task);
        return;
    }
    if (plain && news->health == FULFILL_HEALTH_GOOD)
        view->failures = 0; /* one report of many good answers is enough */
    tell_redis(upstream, op, words);
}
