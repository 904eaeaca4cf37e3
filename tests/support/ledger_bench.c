/* Runs the ledger synchronously against a private redis-server. */
#include "tests/support/ledger_bench.h"

#include "tests/support/redis_server.h"
#include "worker/scripts.h"

#include <inttypes.h>
#include <stdio.h>

static struct {
    struct redis_server *server;
    struct loop *loop;
    struct store *store;
    struct ledger *ledger;
    bool up;
    char text[4096];
} bench;

static void on_state(void *context, bool up, const struct fault *fault)
{
    (void)context;
    (void)fault;
    bench.up = up;
    loop_stop(bench.loop);
}

int bench_open(void **state)
{
    struct store_options options = {
        .timeout_ms = 5000, .scripts = scripts_table, .script_count = scripts_count};
    struct ledger_options ledger_options = {
        .prefix = BENCH_PREFIX, .owner = "bench", .lease_ms = BENCH_LEASE_MS, .keep_ms = 7776000000};
    struct fault fault;

    (void)state;
    bench.server = redis_server_start();
    if (!bench.server)
        return 0;
    bench.loop = loop_new();
    assert_non_null(bench.loop);
    options.uri = redis_server_uri(bench.server);
    bench.store = store_open(bench.loop, &options, on_state, NULL, &fault);
    assert_non_null(bench.store);
    while (!bench.up)
        loop_run(bench.loop);
    bench.ledger = ledger_new(bench.store, &ledger_options);
    assert_non_null(bench.ledger);
    return 0;
}

int bench_close(void **state)
{
    (void)state;
    if (!bench.server)
        return 0;
    ledger_free(bench.ledger);
    store_close(bench.store);
    loop_run(bench.loop);
    loop_free(bench.loop);
    redis_server_stop(bench.server);
    return 0;
}

int bench_empty(void **state)
{
    (void)state;
    if (!bench.server) {
        print_message("no redis-server here\n");
        skip();
    }
    REDIS("FLUSHALL");
    return 0;
}

struct item *bench_item(struct item *item, const char *number, enum order_action action,
                        const char *refund_number, int64_t first_id, size_t line_count)
{
    assert_true(line_count <= BENCH_MAX_LINES);
    memset(item, 0, sizeof(*item));
    item->order.number = number;
    item->order.action = action;
    item->order.refund_number = refund_number;
    item->order.lines = item->lines;
    item->order.line_count = line_count;
    for (size_t i = 0; i < line_count; i++)
        item->lines[i].id = first_id + (int64_t)i;
    snprintf(item->order.item_id, sizeof(item->order.item_id), "%s%.4s-%" PRId64 "-%zu",
             action == ORDER_REFUND ? "r" : "f", refund_number ? refund_number : "", first_id, line_count);
    return item;
}

/* ---- the ledger, one call at a time ---- */

struct call {
    struct ledger_op op;
    bool over;
    struct seen seen;
    struct seen_kept kept;
    enum err err;
};

static void finish(struct call *call)
{
    assert_false(call->over);
    call->over = true;
    loop_stop(bench.loop);
}

static void wait_for(struct call *call)
{
    while (!call->over)
        loop_run(bench.loop);
}

static void add(char *out, const char *format, ...)
{
    size_t length = strlen(out);
    va_list args;

    va_start(args, format);
    vsnprintf(out + length, BENCH_TEXT_BYTES - length, format, args);
    va_end(args);
}

static const char *text_at(const struct store_reply *reply, size_t index)
{
    return store_reply_str(store_reply_at(reply, index), NULL);
}

static void on_claimed(struct ledger_op *op, const struct claim_result *result, const struct fault *fault)
{
    struct call *call = container_of(op, struct call, op);
    struct seen *seen = &call->seen;

    seen->err = fault->code;
    if (fault->code != OK) {
        assert_null(result);
        memcpy(seen->detail, fault->detail, sizeof(seen->detail));
        finish(call);
        return;
    }
    seen->result = *result;
    for (size_t i = 0; i + 1 < store_reply_count(result->finished_lines); i += 2)
        add(seen->finished, "%s%s=%s", i ? " " : "", text_at(result->finished_lines, i),
            text_at(result->finished_lines, i + 1));
    for (size_t i = 0; i < store_reply_count(result->refunded_lines); i++)
        add(seen->refunded, "%s%s", i ? " " : "", text_at(result->refunded_lines, i));
    for (size_t i = 0; i + 1 < store_reply_count(result->known_lines); i += 2)
        add(seen->known, "%s%s=%s", i ? " " : "", text_at(result->known_lines, i),
            text_at(result->known_lines, i + 1));
    add(seen->decision, "%s", result->decision ? result->decision : "");
    add(seen->lines_blob, "%s", result->lines_blob ? result->lines_blob : "");
    seen->result.finished_lines = seen->result.refunded_lines = seen->result.known_lines = NULL;
    seen->result.decision = seen->result.lines_blob = NULL;
    finish(call);
}

static void on_done(struct ledger_op *op, const struct fault *fault)
{
    struct call *call = container_of(op, struct call, op);

    call->err = fault->code;
    finish(call);
}

static void on_kept(struct ledger_op *op, const struct kept_item *items, size_t count, bool known,
                    int64_t sequence, const struct fault *fault)
{
    struct call *call = container_of(op, struct call, op);
    struct seen_kept *kept = &call->kept;

    kept->err = fault->code;
    kept->count = count;
    kept->known = known;
    kept->sequence = sequence;
    for (size_t i = 0; i < count && i < ARRAY_LEN(kept->items); i++) {
        add(kept->items[i].body, "%.*s", (int)items[i].body_length, items[i].body);
        snprintf(kept->items[i].message_id, sizeof(kept->items[i].message_id), "%s", items[i].message_id);
        add(kept->items[i].finished, "%s", items[i].finished ? items[i].finished : "");
        kept->items[i].generation = items[i].generation;
    }
    finish(call);
}

struct seen bench_claim(const struct item *item, struct copy_facts copy)
{
    static uint64_t claims = 1000;
    struct call call = {0};

    if (!copy.message_id)
        copy.message_id = "m1";
    if (copy.claim_number == 0)
        copy.claim_number = ++claims;
    ledger_claim(bench.ledger, &call.op, &item->order, &copy, on_claimed);
    assert_false(call.over);
    wait_for(&call);
    return call.seen;
}

static const char *const verdict_names[] = {
    [CLAIM_RUN] = "RUN",         [CLAIM_DONE] = "DONE",   [CLAIM_BUSY] = "BUSY",
    [CLAIM_EARLY] = "EARLY",     [CLAIM_STALE] = "STALE", [CLAIM_REPEAT] = "REPEAT",
    [CLAIM_IGNORED] = "IGNORED", [CLAIM_SOLO] = "SOLO",   [CLAIM_CRASHED] = "CRASHED",
};

const char *bench_verdict_name(enum claim_verdict verdict)
{
    return verdict_names[verdict];
}

struct seen bench_expect(const struct item *item, struct copy_facts copy, enum claim_verdict verdict)
{
    struct seen seen = bench_claim(item, copy);

    if (seen.err != OK)
        fail_msg("claim: %s: %s", err_name(seen.err), seen.detail);
    assert_string_equal(verdict_names[seen.result.verdict], verdict_names[verdict]);
    return seen;
}

enum err bench_renew(const struct item *item, int64_t fence)
{
    struct call call = {0};

    ledger_renew(bench.ledger, &call.op, &item->order, fence, on_done);
    wait_for(&call);
    return call.err;
}

enum err bench_release(const struct item *item, int64_t fence)
{
    struct call call = {0};

    ledger_release(bench.ledger, &call.op, &item->order, fence, on_done);
    wait_for(&call);
    return call.err;
}

enum err bench_mark(const struct item *item, int64_t generation, int64_t attempts, int64_t waits)
{
    struct call call = {0};

    ledger_mark(bench.ledger, &call.op, &item->order, generation, attempts, waits, on_done);
    wait_for(&call);
    return call.err;
}

struct seen_kept bench_kept(const char *number, const char *message_id)
{
    struct call call = {0};

    ledger_kept(bench.ledger, &call.op, number, message_id, on_kept);
    wait_for(&call);
    return call.kept;
}

enum err bench_record(const struct item *item, const struct seen *claim, struct outcome outcome)
{
    char blobs[BENCH_MAX_LINES][64];
    const char *finished[BENCH_MAX_LINES];
    struct record_facts facts = {
        .state = outcome.state,
        .fence = claim->result.fence,
        .sequence = outcome.sequence ? outcome.sequence : claim->result.fence + 1,
        .generation = claim->result.generation,
        .attempts = outcome.attempts,
        .waits = outcome.waits,
        .first_ms = claim->result.first_ms ? claim->result.first_ms : claim->result.now_ms,
        .due_ms = outcome.due_ms,
        .message_id = outcome.message_id ? outcome.message_id : "m1",
        .start_message_id = outcome.start_message_id ? outcome.start_message_id : "",
        .start_generation = outcome.start_generation,
        .lines_blob = "[\"lines\"]",
        .finished = finished,
        .decision = outcome.decision ? outcome.decision : "decision",
        .body = "body",
        .body_length = 4,
        .maybe = outcome.maybe,
    };
    struct call call = {0};

    for (size_t i = 0; i < item->order.line_count; i++) {
        char letter = outcome.finished ? outcome.finished[i] : '-';

        snprintf(blobs[i], sizeof(blobs[i]), "[{\"id\":%" PRId64 ",\"state\":\"%s\"}]", item->lines[i].id,
                 letter == 'r' ? "refunded" : "complete");
        finished[i] = letter == '-' ? "" : blobs[i];
    }
    ledger_record(bench.ledger, &call.op, &item->order, &facts, on_done);
    wait_for(&call);
    return call.err;
}

/* ---- Redis itself ---- */

struct command {
    struct store_op op;
    bool over;
};

static void on_command(struct store_op *op, const struct store_reply *reply, const struct fault *fault)
{
    struct command *command = container_of(op, struct command, op);
    const char *text;

    if (fault->code != OK)
        fail_msg("redis: %s", fault->detail);
    text = store_reply_str(reply, NULL);
    if (text[0])
        snprintf(bench.text, sizeof(bench.text), "%s", text);
    else
        snprintf(bench.text, sizeof(bench.text), "%" PRId64, store_reply_int(reply));
    command->over = true;
    loop_stop(bench.loop);
}

const char *bench_redis(const char *const *words)
{
    struct store_arg args[32];
    struct command command = {0};
    size_t count = 0;

    for (; words[count]; count++) {
        assert_true(count < ARRAY_LEN(args));
        args[count] = STORE_ARG(words[count]);
    }
    store_command_start(bench.store, &command.op, args, count, on_command);
    while (!command.over)
        loop_run(bench.loop);
    return bench.text;
}

const char *bench_order_key(const struct item *item)
{
    static char key[512];

    snprintf(key, sizeof(key), BENCH_PREFIX "{%s}", item->order.number);
    return key;
}

const char *bench_item_key(const struct item *item)
{
    static char key[512];

    snprintf(key, sizeof(key), BENCH_PREFIX "{%s}:item:%s", item->order.number, item->order.item_id);
    return key;
}

void bench_end_lease(const struct item *item)
{
    REDIS("HSET", bench_order_key(item), "lease_until", "1");
}

int64_t bench_now_ms(void)
{
    return loop_wall_us(bench.loop) / 1000;
}
