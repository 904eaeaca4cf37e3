/*
 * One line on its way through its module: admission before the first request, exchanges and waits, the one
 * finish, the report to the breaker, the outcome. Decides what a call that cannot go on becomes (postponed,
 * out of time, nonsense); what answers mean is decided by outcomes.def and the modules. Called by
 * stage_fulfill through line_run_start(), and by modules through module_services.c.
 */
#include "worker/module_parts.h"

#include "common/text.h"

#include <stdio.h>
#include <string.h>

enum { WAITED_IN_VAIN_MS = 1000, MAX_ASKED_WAIT_S = 3600 };

static void on_nomem(struct loop_task *task);
static void on_deadline(struct loop_timer *timer);
static void on_end_task(struct loop_task *task);
static void on_answer(struct upstream_call *up, const struct fulfill_answer *answer);

/* ---- the beginning ---- */

static void run_module(struct fulfill_call *call)
{
    struct module_entry *entry = call->entry;
    const struct line_run *run = call->run;

    if (!entry) {
        module_call_abort(call, "no_module");
        return;
    }
    if (run->line->quantity <= 0) {
        module_call_abort(call, "no_quantity");
        return;
    }
    if (entry->table.supports && !entry->table.supports(&module_services, call)) {
        module_call_abort(call, "unsupported");
        return;
    }
    call->in_module = true;
    if (run->refund)
        entry->table.refund_product(&module_services, call);
    else
        entry->table.fulfill_product(&module_services, call);
}

void line_run_start(struct module_host *host, struct line_run *run, line_run_fn *done)
{
    struct fulfill_call *call = calloc(1, sizeof(*call));

    run->host = host;
    run->done = done;
    run->call = call;
    run->in_flight = true;
    run->outcome->ran = false;
    run->outcome->costs_attempt = false;
    run->outcome->wait_until_ms = 0;
    if (!call) { /* nobody could be told later: the line stays as it is and comes again */
        loop_task_init(&run->task, host->loop, on_nomem);
        loop_task_start(&run->task);
        return;
    }
    call->host = host;
    call->run = run;
    call->entry = module_host_find(host, run->line->product_class);
    loop_task_init(&call->end_task, host->loop, on_end_task);
    loop_timer_init(&call->deadline, host->loop, on_deadline);
    loop_timer_start(&call->deadline, run->timeout_ms);
    run_module(call);
}

/* ---- lists ---- */

static void add_exchange(struct fulfill_call *call, struct call_exchange *exchange)
{
    exchange->next = call->exchanges;
    if (exchange->next)
        exchange->next->prev = exchange;
    call->exchanges = exchange;
}

static void remove_exchange(struct fulfill_call *call, struct call_exchange *exchange)
{
    if (exchange->prev)
        exchange->prev->next = exchange->next;
    else
        call->exchanges = exchange->next;
    if (exchange->next)
        exchange->next->prev = exchange->prev;
}

static void remove_wait(struct fulfill_call *call, struct call_wait *wait)
{
    if (wait->prev)
        wait->prev->next = wait->next;
    else
        call->waits = wait->next;
    if (wait->next)
        wait->next->prev = wait->prev;
}

/* ---- admission and exchanges ---- */

static void start_exchanges(struct fulfill_call *call)
{
    struct call_exchange *exchange = call->exchanges;

    while (exchange && exchange->next) /* the list is last in, first out */
        exchange = exchange->next;
    for (; exchange; exchange = exchange->prev) {
        if (!exchange->started) {
            exchange->started = true;
            upstream_call_start(&exchange->up, call->probe, on_answer);
        }
    }
}

static void end_if_idle(struct fulfill_call *call)
{
    if (call->finished && !call->ending && !call->exchanges && call->admission != CALL_ASKING) {
        call->ending = true;
        loop_task_start(&call->end_task);
    }
}

static void on_admitted(struct admit_op *op, enum admission admission, int64_t postponed_until_ms)
{
    struct fulfill_call *call = container_of(op, struct fulfill_call, admit);

    call->admission = CALL_NOT_ASKED;
    if (admission == POSTPONED) {
        module_call_postpone(call, postponed_until_ms);
        end_if_idle(call);
        return;
    }
    call->admission = CALL_ADMITTED;
    call->probe = admission == ADMITTED_AS_PROBE;
    if (call->finished)
        end_if_idle(call);
    else
        start_exchanges(call);
}

int module_call_http(struct fulfill_call *call, const struct fulfill_request *request,
                     fulfill_answer_fn *done, void *context)
{
    struct fulfill_request full = {.size = sizeof(full)};
    struct http_header extra = {"traceparent", call->run->traceparent};

    if (call->finished || !request || !done || request->size < offsetof(struct fulfill_request, credentials))
        return -1;
    memcpy(&full, request, request->size < sizeof(full) ? request->size : sizeof(full));
    if (!call->entry->upstream) { /* told from the loop: the module is in the middle of something */
        call->no_upstream = true;
        loop_timer_start(&call->deadline, 0);
        return 0;
    }
    struct call_exchange *exchange = calloc(1, sizeof(*exchange));
    if (!exchange)
        return -1;
    if (upstream_call_init(call->entry->upstream, &exchange->up, &full, &extra, extra.value ? 1 : 0) != OK) {
        free(exchange);
        return -1;
    }
    exchange->call = call;
    exchange->fn = done;
    exchange->context = context;
    exchange->writes = strcmp(full.method, "GET") != 0 && strcmp(full.method, "HEAD") != 0;
    add_exchange(call, exchange);
    if (call->admission == CALL_NOT_ASKED) {
        call->admission = CALL_ASKING;
        upstream_admit(call->entry->upstream, &call->admit, on_admitted);
    } else if (call->admission == CALL_ADMITTED) {
        exchange->started = true;
        upstream_call_start(&exchange->up, call->probe, on_answer);
    }
    return 0;
}

static void on_answer(struct upstream_call *up, const struct fulfill_answer *answer)
{
    struct call_exchange *exchange = container_of(up, struct call_exchange, up);
    struct fulfill_call *call = exchange->call;
    bool postponed = up->postponed_until_ms > 0;

    call->asked = call->asked || !postponed;
    call->wrote = call->wrote || (exchange->writes && up->sent);
    if (call->finished) {
        /* Given up under way: whether it had its effect cannot be known. */
        call->doubt = call->doubt || (exchange->writes && up->sent);
        remove_exchange(call, exchange);
        free(exchange);
        end_if_idle(call);
        return;
    }
    remove_exchange(call, exchange);
    if (postponed)
        module_call_postpone(call, up->postponed_until_ms);
    else
        exchange->fn(call, answer, exchange->context);
    free(exchange);
}

/* ---- waits ---- */

static void on_wait(struct loop_timer *timer)
{
    struct call_wait *wait = container_of(timer, struct call_wait, timer);
    struct fulfill_call *call = wait->call;

    remove_wait(call, wait);
    wait->fn(call, wait->context);
    free(wait);
}

int module_call_wait(struct fulfill_call *call, int64_t delay_ms, fulfill_wait_fn *done, void *context)
{
    struct call_wait *wait;

    if (call->finished || !done || delay_ms < 1 || delay_ms > 600000)
        return -1;
    wait = calloc(1, sizeof(*wait));
    if (!wait)
        return -1;
    *wait = (struct call_wait){.call = call, .fn = done, .context = context, .next = call->waits};
    if (wait->next)
        wait->next->prev = wait;
    call->waits = wait;
    loop_timer_init(&wait->timer, call->host->loop, on_wait);
    loop_timer_start(&wait->timer, delay_ms);
    return 0;
}

/* ---- the end ---- */

/* Nothing of the module runs any more; what is under way is cancelled and awaited. */
static void close_call(struct fulfill_call *call)
{
    struct call_exchange *exchange, *next;

    call->finished = true;
    loop_timer_stop(&call->deadline);
    while (call->waits) {
        struct call_wait *wait = call->waits;
        remove_wait(call, wait);
        loop_timer_stop(&wait->timer);
        free(wait);
    }
    for (exchange = call->exchanges; exchange; exchange = next) {
        next = exchange->next;
        if (exchange->started) {
            upstream_call_cancel(&exchange->up);
        } else {
            upstream_call_drop(&exchange->up);
            remove_exchange(call, exchange);
            free(exchange);
        }
    }
    end_if_idle(call);
}

static bool known_reason(const char *reason)
{
    static const char *const known[] = {"server_error",       "timeout",          "network",
                                        "throttled",          "bad_response",     "redirect",
                                        "credentials",        "bad_request",      "conflict",
                                        "course_unavailable", "mode_unavailable", "enrollment_rejected",
                                        "user_unknown",       "forbidden",        "no_module",
                                        "missing_attribute",  "no_user",          "invalid_message",
                                        "unknown_order",      "crashed",          "module_error"};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(known[i], reason) == 0)
            return true;
    return false;
}

static bool is_object(const char *text)
{
    size_t length = strlen(text);
    json_t *document =
        length <= MODULE_MAX_RESULT_BYTES ? json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL) : NULL;
    bool object = json_is_object(document);

    json_decref(document);
    return object;
}

static bool sensible(const struct fulfill_result *result)
{
    unsigned decision = (unsigned)result->decision, status = (unsigned)result->status;
    unsigned health = (unsigned)result->health;

    return decision <= FULFILL_PAUSE && status <= FULFILL_STATUS_SERVER && health <= FULFILL_HEALTH_BAD &&
           (result->decision == FULFILL_DONE || result->status != FULFILL_STATUS_COMPLETE) &&
           (!result->result_json || is_object(result->result_json));
}

/* Takes a sensible result over; its texts are copied. */
static void take_result(struct fulfill_call *call, const struct fulfill_result *result)
{
    const char *reason = result->decision == FULFILL_DONE ? ""
                         : result->reason                 ? result->reason
                                                          : "module_error";

    if (reason[0] != '\0' && !known_reason(reason)) {
        log_debug("module.reason", "the module's reason is none of the contract's",
                  LOG_STR("reason", reason));
        reason = "module_error";
    }
    call->result = *result;
    snprintf(call->reason, sizeof(call->reason), "%s", reason);
    if (result->message && result->decision != FULFILL_DONE)
        text_utf8_copy(call->message, sizeof(call->message), result->message, strlen(result->message));
    if (result->result_json)
        call->result_json = strdup(result->result_json);
    call->result.reason = call->reason;
    call->result.message = call->message;
    call->result.result_json = NULL;
}

void module_call_finish(struct fulfill_call *call, const struct fulfill_result *result)
{
    struct fulfill_result full = {.retry_after_s = -1};

    if (call->finished) {
        log_warning("module.finished_twice", "a module finished a line twice; the second time is ignored",
                    LOG_STR("module", call->entry->name), LOG_STR("order", call->run->order->number));
        return;
    }
    if (result && result->size >= offsetof(struct fulfill_result, look_first))
        memcpy(&full, result, result->size < sizeof(full) ? result->size : sizeof(full));
    else
        full.decision = (enum fulfill_decision)99; /* nonsense, whatever it says */
    if (!sensible(&full)) {
        log_error("module.nonsense", "a module finished a line with a result that means nothing",
                  LOG_STR("module", call->entry->name), LOG_STR("order", call->run->order->number));
        module_call_judge(call, FULFILL_OPERATION_FULFILL, NULL, "nonsense", &full);
    }
    take_result(call, &full);
    close_call(call);
}

void module_call_judge(struct fulfill_call *call, enum fulfill_operation operation,
                       const struct fulfill_answer *answer, const char *finding,
                       struct fulfill_result *ret_result)
{
    const char *type = call->entry ? call->entry->table.name : "any";

    call->row = outcome_find(type, operation, answer, finding);
    outcome_fill(call->row, answer, call->words, ret_result);
}

/* Tells the module that it is over, where it has begun. Whatever it still asks for is refused. What was
 * answered may have been no end: an order that was taken, and is asked for now. */
static void cancel_module(struct fulfill_call *call)
{
    call->finished = true;
    call->doubt = call->wrote;
    if (call->in_module && call->entry->table.cancel)
        call->entry->table.cancel(&module_services, call);
}

void module_call_abort(struct fulfill_call *call, const char *finding)
{
    struct fulfill_result result;

    if (call->finished)
        return;
    module_call_judge(call, call->run->refund ? FULFILL_OPERATION_REFUND : FULFILL_OPERATION_FULFILL, NULL,
                      finding, &result);
    take_result(call, &result);
    cancel_module(call);
    close_call(call);
}

void module_call_postpone(struct fulfill_call *call, int64_t until_ms)
{
    if (call->finished)
        return;
    call->postponed = true;
    call->postponed_until_ms = until_ms;
    cancel_module(call);
    close_call(call);
}

void line_run_cancel(struct line_run *run)
{
    if (run->in_flight && run->call)
        module_call_postpone(run->call, 0);
}

/* Nothing of it was sent, for want of an admission, a token, a slot or the rate. */
static bool only_waits(const struct fulfill_call *call)
{
    for (const struct call_exchange *exchange = call->exchanges; exchange; exchange = exchange->next)
        if (exchange->started && !upstream_call_waits(&exchange->up))
            return false;
    return call->exchanges != NULL;
}

static void on_deadline(struct loop_timer *timer)
{
    struct fulfill_call *call = container_of(timer, struct fulfill_call, deadline);

    if (call->no_upstream)
        module_call_abort(call, "no_upstream");
    else if (only_waits(call))
        module_call_postpone(call, loop_wall_us(call->host->loop) / 1000 + WAITED_IN_VAIN_MS);
    else
        module_call_abort(call, "deadline");
}

/* ---- the outcome ---- */

static void end_run(struct line_run *run)
{
    run->in_flight = false;
    run->call = NULL;
    run->done(run);
}

static void on_nomem(struct loop_task *task)
{
    end_run(container_of(task, struct line_run, task));
}

static void free_call(struct fulfill_call *call)
{
    free(call->state);
    free(call->result_json);
    free(call->line_json);
    free(call->known_json);
    free(call);
}

static void set_postponed(const struct fulfill_call *call, struct line_outcome *outcome)
{
    outcome->state = LINE_OPEN;
    outcome->look_first = outcome->look_first || call->doubt;
    outcome->wait_until_ms = call->postponed_until_ms;
}

static void set_done(struct fulfill_call *call, struct line_outcome *outcome)
{
    outcome->state = LINE_COMPLETE;
    outcome->status = FULFILL_STATUS_COMPLETE;
    outcome->reason[0] = outcome->message[0] = '\0';
    outcome->http_status = 0;
    outcome->look_first = false;
    if (call->result_json) {
        free(outcome->result_json);
        outcome->result_json = TAKE(call->result_json);
    }
}

/* Until when a module that has no upstream wants to wait; the pool does not know of it. */
static int64_t asked_wait_ms(const struct fulfill_call *call)
{
    int64_t seconds = call->result.retry_after_s;

    return seconds > 0 && seconds <= MAX_ASKED_WAIT_S ? loop_wall_us(call->host->loop) / 1000 + seconds * 1000
                                                      : 0;
}

/* Whether an earlier attempt's effect is as unknown as before: nothing that was heard now settles it. */
static bool still_in_doubt(const struct fulfill_call *call)
{
    bool was = call->run->look_first || call->run->outcome->look_first;
    bool settled = call->result.health == FULFILL_HEALTH_GOOD &&
                   (call->result.decision == FULFILL_FINAL || call->result.decision == FULFILL_RETRY_FEW);

    return was && !settled;
}

/* `free_of_charge`: the breaker was open already, or this was its probe. */
static void set_failed(struct fulfill_call *call, struct line_outcome *outcome, bool free_of_charge)
{
    const struct fulfill_result *result = &call->result;
    const struct upstream *upstream = call->entry ? call->entry->upstream : NULL;

    outcome->status = result->status;
    outcome->http_status = result->http_status;
    strcpy(outcome->reason, call->reason); /* of the same sizes */
    strcpy(outcome->message, call->message);
    if (upstream)
        upstream_redact(upstream, outcome->message, sizeof(outcome->message));
    outcome->look_first = result->look_first != FULFILL_LOOK_NO || call->doubt || still_in_doubt(call);
    if (result->decision == FULFILL_WAIT || result->decision == FULFILL_PAUSE || free_of_charge) {
        outcome->state = LINE_OPEN;
        outcome->wait_until_ms = upstream ? upstream_closed_until_ms(upstream) : asked_wait_ms(call);
        if (result->decision == FULFILL_FINAL || result->decision == FULFILL_RETRY_FEW)
            outcome->decision = FULFILL_RETRY;
    } else {
        outcome->state = result->decision == FULFILL_FINAL ? LINE_FINAL : LINE_FAILED;
        outcome->costs_attempt = true;
    }
}

static void settle(struct fulfill_call *call, bool costs)
{
    struct line_run *run = call->run;
    struct line_outcome *outcome = run->outcome;
    bool bad = call->result.health == FULFILL_HEALTH_BAD;

    snprintf(outcome->module, sizeof(outcome->module), "%s", call->entry ? call->entry->name : "");
    if (call->postponed) {
        set_postponed(call, outcome);
    } else {
        outcome->ran = true;
        outcome->decision = call->result.decision;
        if (call->result.decision == FULFILL_DONE)
            set_done(call, outcome);
        else
            set_failed(call, outcome, bad && !costs);
    }
    free_call(call);
    end_run(run);
}

static void on_reported(struct report_op *op, bool costs)
{
    settle(container_of(op, struct fulfill_call, report), costs);
}

/* What an operator should do, for /readyz and the log while the breaker is open. */
static void put_words(const struct fulfill_call *call, char *words, size_t size)
{
    if (!call->row || call->result.health != FULFILL_HEALTH_BAD)
        words[0] = '\0';
    else if (call->result.http_status > 0)
        snprintf(words, size, "%s (%d): %s", call->row->when, call->result.http_status, call->row->remedy);
    else
        snprintf(words, size, "%s: %s", call->row->when, call->row->remedy);
}

static void on_end_task(struct loop_task *task)
{
    struct fulfill_call *call = container_of(task, struct fulfill_call, end_task);
    struct upstream_news news = {
        .retry_after_s = -1, .health = FULFILL_HEALTH_UNKNOWN, .decision = FULFILL_RETRY};
    char words[300];

    if (call->admission != CALL_ADMITTED || !(call->asked || call->probe)) {
        settle(call, true);
        return;
    }
    put_words(call, words, sizeof(words));
    news.probe = call->probe;
    if (!call->postponed) {
        news.health = call->result.health;
        news.decision = call->result.decision;
        news.retry_after_s = call->result.retry_after_s;
        news.words = words;
    }
    upstream_report(call->entry->upstream, &call->report, &news, on_reported);
}
