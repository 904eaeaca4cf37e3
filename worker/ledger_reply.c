/*
 * Reads what the ledger's scripts answer into the results of ledger.h. An answer that is not what the script
 * of this version gives is a refusal, never a crash. Called by ledger.c.
 */
#include "worker/ledger_pack.h"

#include <string.h>

/* The places of claim.lua's reply. What is left out at its end is 0, none or empty. */
enum claim_place {
    PLACE_VERDICT,
    PLACE_NOW,
    PLACE_GENERATION,
    PLACE_ATTEMPTS,
    PLACE_FENCE,
    PLACE_OTHERS_FINISHED,
    PLACE_WAITS,
    PLACE_FIRST,
    PLACE_DOUBTFUL,
    PLACE_STARTED,
    PLACE_STARTED_SEQUENCE,
    PLACE_ORDER_UNKNOWN,
    PLACE_LINES_CURRENT,
    PLACE_WAIT,
    PLACE_SEQUENCE,
    PLACE_FINISHED,
    PLACE_REFUNDED,
    PLACE_KNOWN,
    PLACE_LINES,
    PLACE_DECISION
};
enum { PLACE_COUNT_LEAST = PLACE_OTHERS_FINISHED + 1, PLACE_COUNT_MOST = PLACE_DECISION + 1 };

static const struct {
    const char *word;
    enum claim_verdict verdict;
} verdicts[] = {
    {"RUN", CLAIM_RUN},         {"DONE", CLAIM_DONE},   {"BUSY", CLAIM_BUSY},
    {"EARLY", CLAIM_EARLY},     {"STALE", CLAIM_STALE}, {"REPEAT", CLAIM_REPEAT},
    {"IGNORED", CLAIM_IGNORED}, {"SOLO", CLAIM_SOLO},   {"CRASHED", CLAIM_CRASHED},
};

static bool find_verdict(const char *word, enum claim_verdict *ret_verdict)
{
    for (size_t i = 0; i < ARRAY_LEN(verdicts); i++) {
        if (strcmp(verdicts[i].word, word) == 0) {
            *ret_verdict = verdicts[i].verdict;
            return true;
        }
    }
    return false;
}

static int64_t read_int(const struct store_reply *reply, enum claim_place place)
{
    return store_reply_int(store_reply_at(reply, place));
}

static const char *read_text(const struct store_reply *reply, enum claim_place place)
{
    const struct store_reply *text = store_reply_at(reply, place);

    return store_reply_nil(text) ? NULL : store_reply_str(text, NULL);
}

static struct fault unexpected(const char *script)
{
    return fault_make(ERR_REFUSED, "the answer of %s.lua is not what this version gives", script);
}

/* The store's fault, or why the call never went out. */
static struct fault outcome(const struct ledger_op *op, const struct fault *fault)
{
    return op->failed != OK ? fault_of(op->failed) : *fault;
}

void ledger_reply_claim(struct ledger_op *op, const struct store_reply *reply,
                        const struct fault *store_fault)
{
    struct fault fault = outcome(op, store_fault);
    struct claim_result result = {0};

    if (fault.code == OK &&
        (store_reply_count(reply) < PLACE_COUNT_LEAST || store_reply_count(reply) > PLACE_COUNT_MOST ||
         !find_verdict(store_reply_str(store_reply_at(reply, PLACE_VERDICT), NULL), &result.verdict)))
        fault = unexpected("claim");
    if (fault.code != OK) {
        op->claimed(op, NULL, &fault);
        return;
    }
    result.fence = read_int(reply, PLACE_FENCE);
    result.generation = read_int(reply, PLACE_GENERATION);
    result.attempts = read_int(reply, PLACE_ATTEMPTS);
    result.waits = read_int(reply, PLACE_WAITS);
    result.first_ms = read_int(reply, PLACE_FIRST);
    result.now_ms = read_int(reply, PLACE_NOW);
    result.doubtful = read_int(reply, PLACE_DOUBTFUL) != 0;
    result.started = read_int(reply, PLACE_STARTED) != 0;
    result.started_sequence = read_int(reply, PLACE_STARTED_SEQUENCE);
    result.others_finished = read_int(reply, PLACE_OTHERS_FINISHED) != 0;
    result.order_unknown = read_int(reply, PLACE_ORDER_UNKNOWN) != 0;
    result.lines_current = read_int(reply, PLACE_LINES_CURRENT) != 0;
    result.wait_ms = read_int(reply, PLACE_WAIT);
    result.sequence = read_int(reply, PLACE_SEQUENCE);
    result.finished_lines = store_reply_at(reply, PLACE_FINISHED);
    result.refunded_lines = store_reply_at(reply, PLACE_REFUNDED);
    result.known_lines = store_reply_at(reply, PLACE_KNOWN);
    result.lines_blob = read_text(reply, PLACE_LINES);
    result.decision = read_text(reply, PLACE_DECISION);
    op->claimed(op, &result, &fault);
}

void ledger_reply_done(struct ledger_op *op, const struct store_reply *reply, const struct fault *store_fault)
{
    struct fault fault = outcome(op, store_fault);

    if (fault.code == OK && strcmp(store_reply_str(reply, NULL), "FENCED") == 0)
        fault = fault_of(ERR_FENCED);
    op->done(op, &fault);
}

enum { KEPT_KNOWN, KEPT_SEQUENCE, KEPT_ITEMS, KEPT_PLACES };
enum { ITEM_BODY, ITEM_MESSAGE_ID, ITEM_GENERATION, ITEM_FINISHED, ITEM_PLACES };

static struct kept_item read_item(const struct store_reply *items, size_t index)
{
    size_t at = index * ITEM_PLACES;
    struct kept_item item = {.generation = store_reply_int(store_reply_at(items, at + ITEM_GENERATION))};

    item.body = store_reply_str(store_reply_at(items, at + ITEM_BODY), &item.body_length);
    item.message_id = store_reply_str(store_reply_at(items, at + ITEM_MESSAGE_ID), NULL);
    item.finished = store_reply_str(store_reply_at(items, at + ITEM_FINISHED), NULL);
    if (strcmp(item.finished, "[]") == 0)
        item.finished = NULL;
    return item;
}

void ledger_reply_kept(struct ledger_op *op, const struct store_reply *reply, const struct fault *store_fault)
{
    struct fault fault = outcome(op, store_fault);
    const struct store_reply *items = NULL;
    AUTO_FREE struct kept_item *list = NULL;
    size_t count;

    if (fault.code == OK && store_reply_count(reply) != KEPT_PLACES)
        fault = unexpected("kept");
    if (fault.code == OK)
        items = store_reply_at(reply, KEPT_ITEMS);
    count = items ? store_reply_count(items) / ITEM_PLACES : 0;
    if (count > 0) {
        list = calloc(count, sizeof(*list));
        if (!list)
            fault = fault_of(ERR_NOMEM);
    }
    if (fault.code != OK) {
        op->kept(op, NULL, 0, false, 0, &fault);
        return;
    }
    for (size_t i = 0; i < count; i++)
        list[i] = read_item(items, i);
    op->kept(op, list, count, store_reply_int(store_reply_at(reply, KEPT_KNOWN)) != 0,
             store_reply_int(store_reply_at(reply, KEPT_SEQUENCE)), &fault);
}
