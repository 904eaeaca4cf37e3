/* A store that answers from a script. See fake_store.h. */
#include "fakes/fake_store.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum fake_kind { FAKE_NIL, FAKE_INT, FAKE_STR, FAKE_ARRAY };

struct store_reply {
    enum fake_kind kind;
    int64_t integer;
    char *text;
    size_t length; /* of the text or the array */
    struct store_reply **elements;
};

/* One answer in line, or a handler for all that have none. */
struct rule {
    struct rule *next;
    char name[48];
    struct store_reply *reply; /* NULL with `fault` OK: no answer */
    struct fault fault;
    fake_store_handler *handler;
    void *context;
};

struct call {
    struct call *next;
    struct fake_store_call shown;
};

struct store {
    struct loop *loop;
    store_state_fn *on_state;
    void *context;
    int64_t timeout_ms;
    struct loop_task task;
    struct loop_timer timer;
    struct store_op *first, *last;
    bool up, told_up, told_once, closed;
};

/* What the fake keeps of an operation, in op->command. */
struct pending {
    struct store_reply *reply;
    bool ready;
};

static struct rule *rules;
static struct rule *handlers;
static struct call *calls;
static struct store *the_store;
static bool starts_down;

/* ---- replies ---- */

static struct store_reply *reply_new(enum fake_kind kind)
{
    struct store_reply *reply = calloc(1, sizeof *reply);

    assert(reply);
    reply->kind = kind;
    return reply;
}

struct store_reply *fake_reply_int(int64_t value)
{
    struct store_reply *reply = reply_new(FAKE_INT);

    reply->integer = value;
    return reply;
}

static char *copy_bytes(const char *data, size_t length)
{
    char *copy = calloc(1, length + 1);

    assert(copy);
    if (length > 0)
        memcpy(copy, data, length);
    return copy;
}

struct store_reply *fake_reply_bytes(const char *data, size_t length)
{
    struct store_reply *reply = reply_new(FAKE_STR);

    reply->text = copy_bytes(data, length);
    reply->length = length;
    return reply;
}

struct store_reply *fake_reply_str(const char *text)
{
    return fake_reply_bytes(text, strlen(text));
}

struct store_reply *fake_reply_nil(void)
{
    return reply_new(FAKE_NIL);
}

static void reply_append(struct store_reply *array, struct store_reply *take_element)
{
    array->elements = realloc(array->elements, (array->length + 1) * sizeof(*array->elements));
    assert(array->elements);
    array->elements[array->length++] = take_element;
}

struct store_reply *fake_reply_array(size_t count, ...)
{
    struct store_reply *array = reply_new(FAKE_ARRAY);
    va_list elements;

    va_start(elements, count);
    for (size_t index = 0; index < count; index++)
        reply_append(array, va_arg(elements, struct store_reply *));
    va_end(elements);
    return array;
}

struct store_reply *fake_reply_strings(const char *first, ...)
{
    struct store_reply *array = reply_new(FAKE_ARRAY);
    va_list texts;

    va_start(texts, first);
    for (const char *text = first; text; text = va_arg(texts, const char *))
        reply_append(array, fake_reply_str(text));
    va_end(texts);
    return array;
}

void fake_reply_free(struct store_reply *reply)
{
    if (!reply)
        return;
    for (size_t index = 0; reply->elements && index < reply->length; index++)
        fake_reply_free(reply->elements[index]);
    free(reply->elements);
    free(reply->text);
    free(reply);
}

size_t store_reply_count(const struct store_reply *reply)
{
    return reply && reply->kind == FAKE_ARRAY ? reply->length : 0;
}

const struct store_reply *store_reply_at(const struct store_reply *reply, size_t index)
{
    return index < store_reply_count(reply) ? reply->elements[index] : NULL;
}

int64_t store_reply_int(const struct store_reply *reply)
{
    char *end = NULL;

    if (!reply || reply->kind == FAKE_INT)
        return reply ? reply->integer : 0;
    if (reply->kind != FAKE_STR)
        return 0;
    errno = 0;
    long long value = strtoll(reply->text, &end, 10);
    return errno == 0 && end != reply->text && *end == '\0' ? value : 0;
}

const char *store_reply_str(const struct store_reply *reply, size_t *ret_length)
{
    bool is_text = reply && reply->kind == FAKE_STR;

    if (ret_length)
        *ret_length = is_text ? reply->length : 0;
    return is_text ? reply->text : "";
}

bool store_reply_nil(const struct store_reply *reply)
{
    return !reply || reply->kind == FAKE_NIL;
}

/* ---- rules ---- */

static struct rule *rule_add(struct rule **list, const char *name)
{
    struct rule *rule = calloc(1, sizeof *rule);

    assert(rule && strlen(name) < sizeof rule->name);
    snprintf(rule->name, sizeof rule->name, "%s", name);
    while (*list)
        list = &(*list)->next;
    *list = rule;
    return rule;
}

void fake_store_answer(const char *name, struct store_reply *take_reply)
{
    rule_add(&rules, name)->reply = take_reply;
}

void fake_store_fail(const char *name, enum err code, const char *detail)
{
    rule_add(&rules, name)->fault = fault_make(code, "%s", detail);
}

void fake_store_ignore(const char *name)
{
    (void)rule_add(&rules, name);
}

void fake_store_handle(const char *name, fake_store_handler *handler, void *context)
{
    struct rule *rule = rule_add(&handlers, name);

    rule->handler = handler;
    rule->context = context;
}

/* ---- operations ---- */

static void op_append(struct store *store, struct store_op *op)
{
    op->prev = store->last;
    op->next = NULL;
    *(store->last ? &store->last->next : &store->first) = op;
    store->last = op;
}

static void op_remove(struct store *store, struct store_op *op)
{
    *(op->prev ? &op->prev->next : &store->first) = op->next;
    *(op->next ? &op->next->prev : &store->last) = op->prev;
}

static struct pending *pending_of(struct store_op *op)
{
    return (struct pending *)(void *)op->command;
}

static void make_ready(struct store_op *op, const struct fault *fault)
{
    if (pending_of(op)->ready)
        return;
    pending_of(op)->ready = true;
    op->fault = *fault;
    loop_task_start(&op->store->task);
}

static struct store_op *first_ready(struct store *store)
{
    struct store_op *op = store->first;

    while (op && !pending_of(op)->ready)
        op = op->next;
    return op;
}

static void tell(struct store_op *op)
{
    struct fault fault = op->fault;
    struct pending *pending = pending_of(op);

    op_remove(op->store, op);
    op->command = NULL;
    op->in_flight = false;
    op->done(op, fault.code == OK ? pending->reply : NULL, &fault);
    fake_reply_free(pending->reply);
    free(pending);
}

static void tell_state(struct store *store)
{
    static const struct fault down = {ERR_NETWORK, "fake_store: down"};

    if (store->closed || (store->told_once && store->told_up == store->up))
        return;
    store->told_once = true;
    store->told_up = store->up;
    store->on_state(store->context, store->up, store->up ? NULL : &down);
}

static void on_task(struct loop_task *task)
{
    struct store *store = container_of(task, struct store, task);
    struct store_op *op = NULL;

    tell_state(store);
    while ((op = first_ready(store)))
        tell(op);
    if (!store->closed)
        return;
    loop_task_cancel(&store->task);
    loop_timer_stop(&store->timer);
    free(store);
    the_store = NULL;
}

static void on_timer(struct loop_timer *timer)
{
    struct store *store = container_of(timer, struct store, timer);
    struct fault fault = fault_make(ERR_TIMEOUT, "fake_store: ignored");
    int64_t next_ms = -1;

    for (struct store_op *op = store->first; op; op = op->next) {
        if (op->deadline_ms <= loop_now_ms(store->loop))
            make_ready(op, &fault);
        else if (!pending_of(op)->ready && (next_ms < 0 || op->deadline_ms < next_ms))
            next_ms = op->deadline_ms;
    }
    if (next_ms >= 0)
        loop_timer_start(&store->timer, next_ms - loop_now_ms(store->loop));
}

static void use_rule(struct store_op *op, const char *name, const struct fake_store_call *call)
{
    struct fault fault = fault_make(ERR_REFUSED, "fake_store: nothing scripted for %s", name);

    for (struct rule **at = &rules; *at; at = &(*at)->next) {
        struct rule *rule = *at;
        if (strcmp(rule->name, name) != 0)
            continue;
        *at = rule->next;
        pending_of(op)->reply = rule->reply;
        if (rule->reply || rule->fault.code != OK)
            make_ready(op, &rule->fault);
        else if (!loop_timer_active(&op->store->timer))
            loop_timer_start(&op->store->timer, op->store->timeout_ms);
        free(rule);
        return;
    }
    for (struct rule *rule = handlers; rule; rule = rule->next) {
        if (strcmp(rule->name, name) != 0)
            continue;
        fault = fault_of(OK);
        pending_of(op)->reply = rule->handler(rule->context, call, &fault);
        break;
    }
    make_ready(op, &fault);
}

static struct store_arg *copy_args(const struct store_arg *args, size_t count)
{
    struct store_arg *copies = calloc(count + 1, sizeof *copies);

    assert(copies);
    for (size_t index = 0; index < count; index++)
        copies[index] =
            (struct store_arg){copy_bytes(args[index].data, args[index].length), args[index].length};
    return copies;
}

static const struct fake_store_call *note_call(const char *name, const struct store_arg *keys,
                                               size_t key_count, const struct store_arg *args,
                                               size_t arg_count)
{
    struct call *call = calloc(1, sizeof *call);
    struct call **at = &calls;

    assert(call);
    call->shown = (struct fake_store_call){.name = copy_bytes(name, strlen(name)),
                                           .key_count = key_count,
                                           .arg_count = arg_count,
                                           .keys = copy_args(keys, key_count),
                                           .args = copy_args(args, arg_count)};
    while (*at)
        at = &(*at)->next;
    *at = call;
    return &call->shown;
}

static void start(struct store *store, struct store_op *op, const char *name,
                  const struct fake_store_call *call, store_done_fn *done)
{
    struct fault fault = store->closed ? fault_of(ERR_CANCELED) : fault_make(ERR_NETWORK, "fake_store: down");

    assert(!op->in_flight);
    *op = (struct store_op){.done = done, .store = store, .in_flight = true};
    op->command = calloc(1, sizeof(struct pending));
    assert(op->command);
    op->deadline_ms = loop_now_ms(store->loop) + store->timeout_ms;
    op_append(store, op);
    if (store->up && !store->closed)
        use_rule(op, name, call);
    else
        make_ready(op, &fault);
}

void store_script_start(struct store *store, struct store_op *op, const struct store_script *script,
                        const struct store_arg *keys, size_t key_count, const struct store_arg *args,
                        size_t arg_count, store_done_fn *done)
{
    const struct fake_store_call *call = note_call(script->name, keys, key_count, args, arg_count);

    start(store, op, script->name, call, done);
}

void store_command_start(struct store *store, struct store_op *op, const struct store_arg *args,
                         size_t arg_count, store_done_fn *done)
{
    const struct fake_store_call *call = note_call(args[0].data, NULL, 0, args, arg_count);

    start(store, op, args[0].data, call, done);
}

void store_op_cancel(struct store_op *op)
{
    struct fault fault = fault_of(ERR_CANCELED);

    if (!op->in_flight || op->canceled)
        return;
    op->canceled = true;
    pending_of(op)->ready = false; /* an answer that nobody has seen yet */
    make_ready(op, &fault);
}

/* ---- life ---- */

static void end_all(struct store *store, enum err code)
{
    struct fault fault = fault_make(code, "fake_store: link ended");

    for (struct store_op *op = store->first; op; op = op->next)
        make_ready(op, &fault);
}

struct store *store_open(struct loop *loop, const struct store_options *options, store_state_fn *on_state,
                         void *context, struct fault *ret_fault)
{
    assert(!the_store);
    if (strncmp(options->uri, "redis", 5) != 0) {
        *ret_fault = fault_make(ERR_CONFIG, "Redis URI: unknown scheme");
        return NULL;
    }
    struct store *store = calloc(1, sizeof *store);
    assert(store);
    store->loop = loop;
    store->on_state = on_state;
    store->context = context;
    store->timeout_ms = options->timeout_ms;
    store->up = !starts_down;
    loop_task_init(&store->task, loop, on_task);
    loop_timer_init(&store->timer, loop, on_timer);
    loop_task_start(&store->task);
    the_store = store;
    return store;
}

bool store_up(const struct store *store)
{
    return store->up && store->told_up && !store->closed;
}

void store_close(struct store *store)
{
    if (!store || store->closed)
        return;
    store->closed = true;
    end_all(store, ERR_CANCELED);
    loop_task_start(&store->task);
}

void fake_store_set_up(bool up)
{
    assert(the_store);
    the_store->up = up;
    if (!up)
        end_all(the_store, ERR_NETWORK);
    loop_task_start(&the_store->task);
}

void fake_store_start_down(bool start_down)
{
    starts_down = start_down;
}

/* ---- what was asked ---- */

const struct fake_store_call *fake_store_call(const char *name, size_t index)
{
    for (struct call *call = calls; call; call = call->next)
        if ((!name || strcmp(call->shown.name, name) == 0) && index-- == 0)
            return &call->shown;
    return NULL;
}

size_t fake_store_call_count(const char *name)
{
    size_t count = 0;

    while (fake_store_call(name, count))
        count++;
    return count;
}

size_t fake_store_unused(void)
{
    size_t count = 0;

    for (struct rule *rule = rules; rule; rule = rule->next)
        count++;
    return count;
}

static void free_args(struct store_arg *args, size_t count)
{
    for (size_t index = 0; index < count; index++)
        free((char *)args[index].data);
    free(args);
}

static void free_rules(struct rule **list)
{
    while (*list) {
        struct rule *rule = *list;
        *list = rule->next;
        fake_reply_free(rule->reply);
        free(rule);
    }
}

void fake_store_reset(void)
{
    assert(!the_store);
    free_rules(&rules);
    free_rules(&handlers);
    while (calls) {
        struct call *call = calls;
        calls = call->next;
        free_args(call->shown.keys, call->shown.key_count);
        free_args(call->shown.args, call->shown.arg_count);
        free((char *)call->shown.name);
        free(call);
    }
    starts_down = false;
}
