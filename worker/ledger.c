/*
 * What Redis knows of an order: turns questions of the stages into calls of the Lua scripts in
 * worker/scripts/, which decide; ledger_reply.c reads the answers. Reads the x-fulfillment-lines header here,
 * with a JSON reader that does not round numbers, so that the scripts need not. Called by the stages.
 */
#include "worker/ledger_pack.h"
#include "worker/scripts.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct ledger *ledger_new(struct store *store, const struct ledger_options *options)
{
    struct ledger *ledger = calloc(1, sizeof(*ledger));
    const char *prefix = options->prefix ? options->prefix : "";

    if (!ledger)
        return NULL;
    ledger->store = store;
    ledger->options = *options;
    ledger->prefix = strdup(prefix);
    ledger->owner = strdup(options->owner);
    ledger->key_bytes = ledger_key_bytes(prefix);
    ledger->order_key = malloc(ledger->key_bytes);
    ledger->item_key = malloc(ledger->key_bytes);
    if (!ledger->prefix || !ledger->owner || !ledger->order_key || !ledger->item_key) {
        ledger_free(ledger);
        return NULL;
    }
    return ledger;
}

void ledger_free(struct ledger *ledger)
{
    if (!ledger)
        return;
    free(ledger->prefix);
    free(ledger->owner);
    free(ledger->order_key);
    free(ledger->item_key);
    free(ledger);
}

/* ---- sending ---- */

static void on_claim_answered(struct store_op *store_op, const struct store_reply *reply,
                              const struct fault *fault)
{
    ledger_reply_claim(container_of(store_op, struct ledger_op, store), reply, fault);
}

static void on_answered(struct store_op *store_op, const struct store_reply *reply, const struct fault *fault)
{
    ledger_reply_done(container_of(store_op, struct ledger_op, store), reply, fault);
}

static void on_kept_answered(struct store_op *store_op, const struct store_reply *reply,
                             const struct fault *fault)
{
    ledger_reply_kept(container_of(store_op, struct ledger_op, store), reply, fault);
}

static void send_script(struct ledger *ledger, struct ledger_op *op, const char *script, size_t key_count,
                        store_done_fn *done)
{
    struct store_arg keys[2] = {STORE_ARG(ledger->order_key), STORE_ARG(ledger->item_key)};

    assert(key_count <= ARRAY_LEN(keys));
    op->ledger = ledger;
    op->failed = OK;
    store_script_start(ledger->store, &op->store, scripts_find(script), keys, key_count, ledger->args,
                       ledger->arg_count, done);
}

/* Out of memory before anything was sent. The answer to a PING, whatever it is, brings the news later. */
static void fail_later(struct ledger *ledger, struct ledger_op *op, store_done_fn *done)
{
    struct store_arg ping = STORE_ARG("PING");

    op->ledger = ledger;
    op->failed = ERR_NOMEM;
    store_command_start(ledger->store, &op->store, &ping, 1, done);
}

/* ---- finished lines ---- */

/* Of one row of line_outcomes_text(): "C" complete, "R" refunded before it was fulfilled, "" unfinished.
 */
static const char *finished_state(const json_t *row, bool refund)
{
    const char *state = json_string_value(json_object_get(row, "state"));

    if (!state)
        return "";
    if (strcmp(state, "complete") == 0)
        return "C";
    if (strcmp(state, "refunded") == 0)
        return refund ? "C" : "R";
    return "";
}

/* The same of the text that is about to be stored: one row of ours, which begins with its id and its state.
 */
static const char *blob_state(const char *blob, bool refund)
{
    static const char refunded[] = "\"state\":\"refunded\"";
    const char *state;

    if (!blob || !blob[0])
        return "";
    state = strstr(blob, "\"state\":");
    return !refund && state && strncmp(state, refunded, sizeof(refunded) - 1) == 0 ? "R" : "C";
}

/*
 * Rows come in the order of the lines, some left out: searching on from the last find is one step a line.
 * More rows than lines are somebody's mistake, and not looked at.
 */
static const json_t *find_row(const json_t *array, size_t line_count, int64_t id, size_t *inout_next)
{
    size_t count = json_array_size(array);

    if (count > line_count)
        count = line_count;
    for (size_t i = 0; i < count; i++) {
        size_t at = (*inout_next + i) % count;
        const json_t *row = json_array_get(array, at);
        const json_t *row_id = json_object_get(row, "id");

        if (json_is_integer(row_id) && json_integer_value(row_id) == id) {
            *inout_next = at + 1;
            return row;
        }
    }
    return NULL;
}

/* What the copy's header says of each line. A header that is no JSON says nothing. */
static bool pack_said_lines(struct ledger *ledger, const struct order *order, const char *header,
                            char **blobs)
{
    json_t *array = json_loads(header, JSON_REJECT_DUPLICATES, NULL);
    bool refund = order->action == ORDER_REFUND;
    bool packed = true;
    size_t next = 0;

    for (size_t i = 0; array && i < order->line_count && packed; i++) {
        const json_t *row = find_row(array, order->line_count, order->lines[i].id, &next);
        const char *state = row ? finished_state(row, refund) : "";

        ledger_pack_text(ledger, state);
        if (state[0]) {
            json_t *single = json_pack("[O]", (json_t *)(uintptr_t)row);

            blobs[i] = single ? json_dumps(single, JSON_COMPACT) : NULL;
            json_decref(single);
            packed = blobs[i] != NULL;
        }
        ledger_pack_text(ledger, blobs[i]);
    }
    json_decref(array);
    return packed;
}

/* ---- operations ---- */

static int64_t within(int64_t number, int64_t most)
{
    return number < 0 ? 0 : number > most ? most : number;
}

static void pack_item(struct ledger *ledger, const struct order *order)
{
    ledger_pack_start(ledger, order->number, order->item_id);
    ledger_pack_text(ledger, order->item_id);
    ledger_pack_text(ledger, order_action_name(order->action));
    ledger_pack_text(ledger, order->refund_number);
}

/* A first copy: there is nothing to say of it. */
static bool is_fresh(const struct copy_facts *copy)
{
    return copy->generation <= 0 && copy->attempts <= 0 && copy->first_ms <= 0 && copy->due_ms <= 0 &&
           copy->deliveries <= 0 && !copy->finished && !copy->dead_copy && !copy->resubmit &&
           !copy->redelivered && !copy->solo;
}

static void pack_copy(struct ledger *ledger, const struct copy_facts *copy)
{
    const int64_t far_ms = INT64_C(4102444800000); /* the year 2100: Lua's numbers are exact far beyond */

    ledger_pack_number(ledger, within(copy->generation, LEDGER_MAX_COUNT));
    ledger_pack_number(ledger, within(copy->attempts, LEDGER_MAX_COUNT));
    ledger_pack_number(ledger, within(copy->first_ms, far_ms));
    ledger_pack_number(ledger, within(copy->due_ms, far_ms));
    ledger_pack_text(ledger, copy->dead_copy ? "dead" : copy->resubmit ? "resubmit" : "");
    ledger_pack_flag(ledger, copy->redelivered);
    ledger_pack_number(ledger, within(copy->deliveries, LEDGER_MAX_COUNT));
    ledger_pack_flag(ledger, copy->solo);
    ledger_pack_text(ledger, copy->word_id ? copy->word_id : copy->message_id);
}

void ledger_claim(struct ledger *ledger, struct ledger_op *op, const struct order *order,
                  const struct copy_facts *copy, ledger_claim_fn *claimed)
{
    char **blobs = copy->finished ? calloc(order->line_count, sizeof(*blobs)) : NULL;
    bool packed = blobs || !copy->finished;
    char owner[256];

    (void)snprintf(owner, sizeof(owner), "%.200s#%" PRIu64, ledger->owner, copy->claim_number);
    op->claimed = claimed;
    pack_item(ledger, order);
    ledger_pack_number(ledger, ledger->options.lease_ms);
    ledger_pack_text(ledger, owner);
    ledger_pack_text(ledger, copy->message_id);
    ledger_pack_number(ledger, (int64_t)order->line_count);
    for (size_t i = 0; i < order->line_count; i++)
        ledger_pack_number(ledger, order->lines[i].id);
    if (!is_fresh(copy))
        pack_copy(ledger, copy);
    if (blobs)
        packed = pack_said_lines(ledger, order, copy->finished, blobs);
    if (packed)
        send_script(ledger, op, "claim", 2, on_claim_answered);
    else
        fail_later(ledger, op, on_claim_answered);
    for (size_t i = 0; blobs && i < order->line_count; i++)
        free(blobs[i]);
    free(blobs);
}

void ledger_renew(struct ledger *ledger, struct ledger_op *op, const struct order *order, int64_t fence,
                  ledger_done_fn *done)
{
    op->done = done;
    ledger_pack_start(ledger, order->number, order->item_id);
    ledger_pack_text(ledger, order->item_id);
    ledger_pack_number(ledger, fence);
    ledger_pack_number(ledger, ledger->options.lease_ms);
    ledger_pack_text(ledger, ledger->owner);
    send_script(ledger, op, "renew", 1, on_answered);
}

void ledger_release(struct ledger *ledger, struct ledger_op *op, const struct order *order, int64_t fence,
                    ledger_done_fn *done)
{
    op->done = done;
    ledger_pack_start(ledger, order->number, order->item_id);
    ledger_pack_number(ledger, fence);
    send_script(ledger, op, "release", 2, on_answered);
}

static const char *state_name(enum record_state state)
{
    switch (state) {
    case RECORD_DONE:
        return "done";
    case RECORD_WAIT:
        return "wait";
    case RECORD_DEAD:
        break;
    }
    return "dead";
}

void ledger_record(struct ledger *ledger, struct ledger_op *op, const struct order *order,
                   const struct record_facts *facts, ledger_done_fn *done)
{
    bool refund = order->action == ORDER_REFUND;

    op->done = done;
    pack_item(ledger, order);
    ledger_pack_number(ledger, facts->fence);
    ledger_pack_text(ledger, state_name(facts->state));
    ledger_pack_number(ledger, facts->generation);
    ledger_pack_number(ledger, facts->attempts);
    ledger_pack_number(ledger, facts->waits);
    ledger_pack_number(ledger, facts->first_ms);
    ledger_pack_number(ledger, facts->due_ms);
    ledger_pack_text(ledger, facts->message_id);
    ledger_pack_text(ledger, facts->start_message_id);
    ledger_pack_number(ledger, facts->start_generation);
    ledger_pack_text(ledger, facts->lines_blob);
    ledger_pack_text(ledger, facts->decision);
    ledger_pack_bytes(ledger, facts->body, facts->state == RECORD_DONE ? 0 : facts->body_length);
    ledger_pack_flag(ledger, facts->maybe);
    ledger_pack_number(ledger, ledger->options.keep_ms);
    ledger_pack_number(ledger, facts->sequence);
    for (size_t i = 0; i < order->line_count; i++) {
        const char *state = blob_state(facts->finished[i], refund);

        ledger_pack_number(ledger, order->lines[i].id);
        ledger_pack_text(ledger, state);
        ledger_pack_text(ledger, facts->finished[i]);
    }
    send_script(ledger, op, "record", 2, on_answered);
}

void ledger_mark(struct ledger *ledger, struct ledger_op *op, const struct order *order, int64_t generation,
                 int64_t attempts, int64_t waits, ledger_done_fn *done)
{
    op->done = done;
    ledger_pack_start(ledger, order->number, order->item_id);
    ledger_pack_number(ledger, generation);
    ledger_pack_number(ledger, attempts);
    ledger_pack_number(ledger, waits);
    send_script(ledger, op, "mark", 2, on_answered);
}

void ledger_kept(struct ledger *ledger, struct ledger_op *op, const char *order_number,
                 const char *message_id, ledger_kept_fn *kept)
{
    op->kept = kept;
    ledger_pack_start(ledger, order_number, "");
    ledger_pack_text(ledger, message_id);
    send_script(ledger, op, "kept", 1, on_kept_answered);
}
