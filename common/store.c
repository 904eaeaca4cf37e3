/*
 * The store adapter: keeps one link to Redis up, sends commands, gives each answer to the operation that
 * waits for it. Decides when the link is up (logged in, a master, all scripts loaded), when it is lost
 * (closed, nonsense, silent past a deadline, a replica's answer), when to try again, and what an answer
 * means. The socket is store_link.c's, the first words on it store_greeting.c's, the bytes of commands and
 * the meaning of errors store_words.c's, the parsing of replies store_reply.c's. Called by the worker's
 * pipeline and by the sub-commands.
 *
 * Answers come in the order of the commands, so operations wait in a list in that order. One that leaves
 * early (its deadline, a cancel) leaves its answer behind: the operation after it counts, in `skip`, how
 * many answers to throw away before its own.
 */
#include "common/store.h"

#include "common/store_greeting.h"
#include "common/store_link.h"
#include "common/store_reply.h"
#include "common/store_words.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    BACKOFF_FIRST_MS = 100,
    BACKOFF_MAX_MS = 5000,
    IDLE_PING_MS = 5000 /* a silent death of the server is noticed without work to do */
};

enum phase {
    PHASE_WAITING,    /* for the next try; the timer ends it */
    PHASE_CONNECTING, /* name look-up and connect */
    PHASE_GREETING,   /* log in, choose the database, load scripts */
    PHASE_UP,
    PHASE_CLOSED
};

struct op_list {
    struct store_op *first, *last;
};

struct store {
    struct loop *loop;
    store_state_fn *on_state;
    void *context;
    int64_t timeout_ms;
    struct store_uri uri;

    enum phase phase;
    struct store_link link;
    struct store_greeting greeting;
    struct store_reader *reader; /* NULL while not connected */
    struct loop_timer timer; /* of the phase: backoff, connect, greeting; up: first deadline or idle ping */
    int64_t timer_due_ms;    /* while up */
    struct loop_task task;   /* tells ended operations; frees a closed store */
    unsigned failed_tries;   /* since an operation last succeeded */
    bool outage_told;
    bool refusal_told;     /* of this outage: Redis is there and does not want us */
    int64_t last_bytes_ms; /* when anything was last received */

    struct op_list waiting; /* sent, in order */
    size_t skip_last;       /* answers to throw away after those of `waiting` */
    struct op_list ended;   /* outcome in op->fault, to be told by the task */
    struct store_op ping;
};

static void lose(struct store *store, const struct fault *fault);
static void arm_deadline(struct store *store);
static void arm_timer(struct store *store, int64_t delay_ms);

/* ---- lists ---- */

static void list_append(struct op_list *list, struct store_op *op)
{
    op->prev = list->last;
    op->next = NULL;
    if (list->last)
        list->last->next = op;
    else
        list->first = op;
    list->last = op;
}

static void list_remove(struct op_list *list, struct store_op *op)
{
    if (op->prev)
        op->prev->next = op->next;
    else
        list->first = op->next;
    if (op->next)
        op->next->prev = op->prev;
    else
        list->last = op->prev;
}

static void wait_append(struct store *store, struct store_op *op)
{
    op->skip = store->skip_last;
    store->skip_last = 0;
    list_append(&store->waiting, op);
}

/* `answers` is 1 when the operation's own answer is still to come, else 0. */
static void wait_remove(struct store *store, struct store_op *op, size_t answers)
{
    *(op->next ? &op->next->skip : &store->skip_last) += op->skip + answers;
    list_remove(&store->waiting, op);
}

/* ---- the end of operations ---- */

static void tell(struct store_op *op, const struct store_reply *reply, const struct fault *fault)
{
    free(op->command);
    op->command = NULL;
    op->in_flight = false;
    op->done(op, reply, fault);
}

static void end_later(struct store *store, struct store_op *op, const struct fault *fault)
{
    op->fault = *fault;
    list_append(&store->ended, op);
    loop_task_start(&store->task);
}

static void free_store(struct store *store)
{
    loop_task_cancel(&store->task);
    loop_timer_stop(&store->timer);
    store_reader_free(store->reader);
    store_link_fini(&store->link);
    store_uri_fini(&store->uri);
    store_greeting_fini(&store->greeting);
    free(store);
}

static void on_ended(struct loop_task *task)
{
    struct store *store = container_of(task, struct store, task);

    while (store->ended.first) {
        struct store_op *op = store->ended.first;
        struct fault fault = op->fault;
        list_remove(&store->ended, op);
        tell(op, NULL, &fault);
    }
    if (store->phase == PHASE_CLOSED)
        free_store(store);
}

static void end_all(struct store *store, enum err code_when_due, const struct fault *fault)
{
    struct fault due = *fault;

    due.code = code_when_due;
    while (store->waiting.first) {
        struct store_op *op = store->waiting.first;
        bool is_due = op->deadline_ms <= loop_now_ms(store->loop);
        list_remove(&store->waiting, op);
        end_later(store, op, is_due ? &due : fault);
    }
    store->skip_last = 0;
}

/* ---- the link's ups and downs ---- */

static void close_link(struct store *store)
{
    store_link_drop(&store->link);
    store_reader_free(store->reader);
    store->reader = NULL;
}

static int64_t backoff_ms(const struct store *store)
{
    int64_t limit = BACKOFF_FIRST_MS;

    for (unsigned tries = 1; tries < store->failed_tries && limit < BACKOFF_MAX_MS; tries++)
        limit *= 2;
    if (limit > BACKOFF_MAX_MS)
        limit = BACKOFF_MAX_MS;
    /* Half of it by chance, so that many workers do not come back in step. */
    return limit / 2 + (int64_t)arc4random_uniform((uint32_t)(limit / 2 + 1));
}

/* The last thing its callers do with the store: on_state may close it. */
static void lose(struct store *store, const struct fault *fault)
{
    struct fault told = *fault;

    close_link(store);
    if (told.code != ERR_NOMEM)
        told.code = ERR_NETWORK;
    end_all(store, fault->code == ERR_TIMEOUT ? ERR_TIMEOUT : told.code, &told);
    store->phase = PHASE_WAITING;
    store->failed_tries++;
    loop_timer_start(&store->timer, backoff_ms(store));
    bool refusal = fault->code == ERR_UNAVAILABLE;
    if (!store->outage_told || (refusal && !store->refusal_told)) {
        store->outage_told = true;
        store->refusal_told = store->refusal_told || refusal;
        store->on_state(store->context, false, fault);
    }
}

/* A try to connect or greet has failed: the name's next address, or the end of this try. */
static void try_failed(struct store *store, const struct fault *fault)
{
    close_link(store);
    store->phase = PHASE_CONNECTING;
    if (store_link_connect_next(&store->link))
        loop_timer_start(&store->timer, store->timeout_ms);
    else
        lose(store, fault);
}

static void on_link_failed(void *context, const struct fault *fault)
{
    struct store *store = context;

    if (store->phase == PHASE_UP)
        lose(store, fault);
    else
        try_failed(store, fault);
}

static struct fault silence(const struct store *store, const char *what)
{
    char where[128];

    store_link_describe(&store->link, where, sizeof where);
    return fault_make(ERR_TIMEOUT, "Redis at %s: %s for %" PRId64 " ms", where, what, store->timeout_ms);
}

/*
 * This process did not get to run, or has not sent yet what it waits for (bytes leave at the end of a turn):
 * the delay says nothing of Redis.
 */
static bool was_held_up(const struct store *store)
{
    return store_link_unsent(&store->link) ||
           loop_now_ms(store->loop) - store->timer_due_ms > store->timeout_ms / 4;
}

/* Bytes came not long ago: Redis is slow, not gone. */
static bool is_alive(const struct store *store)
{
    return loop_now_ms(store->loop) - store->last_bytes_ms < store->timeout_ms / 2;
}

static void check_deadlines(struct store *store)
{
    /* After a pause of this process the answers may be here, unread: look before judging. */
    store_link_receive(&store->link);
    while (store->phase == PHASE_UP && store->waiting.first &&
           store->waiting.first->deadline_ms <= loop_now_ms(store->loop)) {
        struct store_op *op = store->waiting.first;
        struct fault fault = silence(store, is_alive(store) ? "no answer to one command" : "silent");
        if (!is_alive(store)) {
            lose(store, &fault);
            return;
        }
        wait_remove(store, op, 1);
        end_later(store, op, &fault);
    }
}

static void on_pinged(struct store_op *op, const struct store_reply *reply, const struct fault *fault)
{
    /* What it was for, a deadline, has been seen to; an error answer is an answer. */
    (void)op;
    (void)reply;
    (void)fault;
}

static void on_timer(struct loop_timer *timer)
{
    struct store *store = container_of(timer, struct store, timer);
    struct fault fault;

    switch (store->phase) {
    case PHASE_WAITING:
        store->phase = PHASE_CONNECTING;
        loop_timer_start(&store->timer, store->timeout_ms);
        store_link_connect(&store->link);
        break;
    case PHASE_CONNECTING:
        fault = silence(store, "no connection");
        try_failed(store, &fault);
        break;
    case PHASE_GREETING:
        fault = silence(store, "connected, but silent");
        try_failed(store, &fault);
        break;
    case PHASE_UP:
        if (was_held_up(store)) {
            arm_timer(store, store->timeout_ms / 2);
            break;
        }
        if (!store->waiting.first && !store_op_active(&store->ping))
            store_command_start(store, &store->ping, &STORE_ARG("PING"), 1, on_pinged);
        else
            check_deadlines(store);
        arm_deadline(store);
        break;
    case PHASE_CLOSED:
        break;
    }
}

/* One timer for all: the list is in order of its deadlines. */
static void arm_deadline(struct store *store)
{
    if (store->phase != PHASE_UP)
        return;
    int64_t delay_ms =
        store->waiting.first ? store->waiting.first->deadline_ms - loop_now_ms(store->loop) : IDLE_PING_MS;
    arm_timer(store, delay_ms > 0 ? delay_ms : 0);
}

static void arm_timer(struct store *store, int64_t delay_ms)
{
    store->timer_due_ms = loop_now_ms(store->loop) + delay_ms;
    loop_timer_start(&store->timer, delay_ms);
}

/* ---- greeting ---- */

static void on_link_connected(void *context)
{
    struct store *store = context;
    struct fault nomem = fault_of(ERR_NOMEM);

    store->phase = PHASE_GREETING;
    store->last_bytes_ms = loop_now_ms(store->loop);
    loop_timer_start(&store->timer, store->timeout_ms);
    store->reader = store_reader_new();
    if (!store->reader || !store_greeting_send(&store->greeting, &store->link))
        lose(store, &nomem);
}

static void take_greeting(struct store *store, const struct store_reply *reply)
{
    struct fault fault;
    bool is_complete = false;

    if (!store_greeting_take(&store->greeting, reply, &is_complete, &fault)) {
        try_failed(store, &fault);
        return;
    }
    if (!is_complete)
        return;
    store->phase = PHASE_UP;
    arm_deadline(store);
    store->outage_told = false;
    store->refusal_told = false;
    store->on_state(store->context, true, NULL);
}

/* ---- answers ---- */

/* Sends the script again with its text; false when out of memory. */
static bool repeat_with_text(struct store *store, struct store_op *op)
{
    size_t first_line = 0;
    const char *tail = store_command_tail(op->command, &first_line);
    size_t tail_length = op->command_length - (size_t)(tail - op->command);
    char head[48];
    int head_length = snprintf(head, sizeof head, "$4\r\nEVAL\r\n$%zu\r\n", op->script->length);

    if (!store_link_reserve(&store->link,
                            first_line + (size_t)head_length + op->script->length + 2 + tail_length))
        return false;
    store_link_write(&store->link, op->command, first_line);
    store_link_write(&store->link, head, (size_t)head_length);
    store_link_write(&store->link, op->script->text, op->script->length);
    store_link_write(&store->link, "\r\n", 2);
    store_link_write(&store->link, tail, tail_length);
    op->script = NULL; /* EVAL cannot meet NOSCRIPT */
    op->deadline_ms = loop_now_ms(store->loop) + store->timeout_ms;
    wait_append(store, op);
    return true;
}

static void take_error(struct store *store, struct store_op *op, const char *words)
{
    struct fault fault = store_error_read(words);

    if (store_error_is_noscript(words) && op->script) {
        if (repeat_with_text(store, op))
            return;
        fault = fault_of(ERR_NOMEM);
    }
    if (store_error_wants_reconnect(words))
        lose(store, &fault);
    tell(op, NULL, &fault);
}

static void take_answer(struct store *store, const struct store_reply *reply)
{
    struct store_op *op = store->waiting.first;
    size_t *skip = op ? &op->skip : &store->skip_last;
    struct fault fault = fault_of(OK);

    if (*skip > 0) {
        (*skip)--;
        return;
    }
    if (!op) {
        fault = fault_make(ERR_NETWORK, "Redis sent an answer that nobody waits for");
        lose(store, &fault);
        return;
    }
    wait_remove(store, op, 0);
    if (store_reply_error(reply)) {
        take_error(store, op, store_reply_error(reply));
        return;
    }
    store->failed_tries = 0;
    tell(op, reply, &fault);
}

static void on_link_bytes(void *context, const char *data, size_t length)
{
    struct store *store = context;
    struct store_reader *reader = store->reader;
    struct store_reply *reply = NULL;

    store->last_bytes_ms = loop_now_ms(store->loop);
    bool is_sense = store_reader_feed(reader, data, length);
    /* Each answer may end in a callback that loses or closes the link, and the reader with it. */
    while (is_sense && (is_sense = store_reader_next(reader, &reply)) && reply) {
        if (store->phase == PHASE_GREETING)
            take_greeting(store, reply);
        else
            take_answer(store, reply);
        store_reply_free(reply);
        if (store->reader != reader)
            return;
    }
    if (is_sense)
        return;
    struct fault fault =
        fault_make(ERR_NETWORK, "Redis sent something that is no answer: %s", store_reader_why(reader));
    on_link_failed(store, &fault);
}

/* ---- starting operations ---- */

static void prepare(struct store *store, struct store_op *op, store_done_fn *done)
{
    assert(!op->in_flight);
    *op = (struct store_op){.done = done, .store = store, .in_flight = true};
}

static void send_op(struct store *store, struct store_op *op, const struct store_part *parts,
                    size_t part_count)
{
    struct fault nomem = fault_of(ERR_NOMEM);

    op->command = store_command_encode(parts, part_count, &op->command_length);
    if (!op->command || !store_link_reserve(&store->link, op->command_length)) {
        end_later(store, op, &nomem);
        return;
    }
    store_link_write(&store->link, op->command, op->command_length);
    op->deadline_ms = loop_now_ms(store->loop) + store->timeout_ms;
    bool is_first = !store->waiting.first;
    wait_append(store, op);
    if (is_first)
        arm_deadline(store);
}

/* Ends the operation, later, when the link is not up. */
static bool refuse(struct store *store, struct store_op *op)
{
    struct fault fault = store->phase == PHASE_CLOSED ? fault_of(ERR_CANCELED)
                                                      : fault_make(ERR_NETWORK, "the link to Redis is down");

    if (store->phase == PHASE_UP)
        return false;
    end_later(store, op, &fault);
    return true;
}

void store_script_start(struct store *store, struct store_op *op, const struct store_script *script,
                        const struct store_arg *keys, size_t key_count, const struct store_arg *args,
                        size_t arg_count, store_done_fn *done)
{
    size_t index = (size_t)(script - store->greeting.scripts);
    char number[24];

    assert(script >= store->greeting.scripts && index < store->greeting.script_count);
    prepare(store, op, done);
    if (refuse(store, op))
        return;
    op->script = script;
    snprintf(number, sizeof number, "%zu", key_count);
    struct store_arg head[] = {
        STORE_ARG("EVALSHA"), {store->greeting.digests[index], STORE_DIGEST_LENGTH}, STORE_ARG(number)};
    struct store_part parts[] = {{head, ARRAY_LEN(head)}, {keys, key_count}, {args, arg_count}};
    send_op(store, op, parts, ARRAY_LEN(parts));
}

void store_command_start(struct store *store, struct store_op *op, const struct store_arg *args,
                         size_t arg_count, store_done_fn *done)
{
    struct store_part part = {args, arg_count};

    prepare(store, op, done);
    if (!refuse(store, op))
        send_op(store, op, &part, 1);
}

void store_op_cancel(struct store_op *op)
{
    struct fault fault = fault_of(ERR_CANCELED);

    if (!op->in_flight || op->canceled || op->fault.code != OK)
        return;
    op->canceled = true;
    wait_remove(op->store, op, 1);
    end_later(op->store, op, &fault);
}

/* ---- life ---- */

static enum err set_login(struct store *store, const struct store_options *options)
{
    if (options->username) {
        free(store->uri.username);
        store->uri.username = strdup(options->username);
        if (!store->uri.username)
            return ERR_NOMEM;
    }
    if (options->password) {
        free(store->uri.password);
        store->uri.password = strdup(options->password);
        if (!store->uri.password)
            return ERR_NOMEM;
    }
    return store->uri.username && !store->uri.password ? ERR_CONFIG : OK;
}

struct store *store_open(struct loop *loop, const struct store_options *options, store_state_fn *on_state,
                         void *context, struct fault *ret_fault)
{
    static const struct store_link_events events = {on_link_connected, on_link_bytes, on_link_failed};
    struct store_uri uri;

    if (store_uri_parse(options->uri, &uri, ret_fault) != OK)
        return NULL;
    struct store *store = calloc(1, sizeof *store);
    if (!store) {
        store_uri_fini(&uri);
        *ret_fault = fault_of(ERR_NOMEM);
        return NULL;
    }
    store->loop = loop;
    store->on_state = on_state;
    store->context = context;
    store->uri = uri;
    store->timeout_ms = options->timeout_ms;
    store_link_init(&store->link, loop, &store->uri, &events, store);
    loop_timer_init(&store->timer, loop, on_timer);
    loop_task_init(&store->task, loop, on_ended);
    enum err err =
        store_greeting_init(&store->greeting, &store->uri, options->scripts, options->script_count);
    if (!err)
        err = set_login(store, options);
    if (err) {
        *ret_fault =
            err == ERR_CONFIG ? fault_make(err, "Redis: a user name needs a password") : fault_of(err);
        free_store(store);
        return NULL;
    }
    store->phase = PHASE_WAITING;
    loop_timer_start(&store->timer, 0);
    return store;
}

bool store_up(const struct store *store)
{
    return store->phase == PHASE_UP;
}

void store_close(struct store *store)
{
    struct fault fault = fault_of(ERR_CANCELED);

    if (!store || store->phase == PHASE_CLOSED)
        return;
    store->phase = PHASE_CLOSED;
    loop_timer_stop(&store->timer);
    close_link(store);
    end_all(store, ERR_CANCELED, &fault);
    loop_task_start(&store->task);
}
