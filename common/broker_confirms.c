/*
 * A ring of publications by confirm number. A returned message does not say its number, only itself: it is
 * found by a fingerprint of where it went and what it was. Two that are alike in all of it are
 * interchangeable: when one is returned and the other taken, the message is in its queue whichever of them is
 * told so. Called by broker_publish.c.
 */
#include "common/broker_confirms.h"

enum { FIRST_CAPACITY = 256, FINGERPRINT_EDGE_BYTES = 128 };

void broker_confirms_init(struct broker_confirms *confirms)
{
    *confirms = (struct broker_confirms){.base = 1, .next = 1};
}

void broker_confirms_fini(struct broker_confirms *confirms)
{
    free(confirms->slots);
    broker_confirms_init(confirms);
}

static struct broker_confirms_slot *slot_of(const struct broker_confirms *confirms, uint64_t sequence)
{
    return &confirms->slots[sequence & (confirms->capacity - 1)];
}

enum err broker_confirms_reserve(struct broker_confirms *confirms)
{
    struct broker_confirms larger = *confirms;

    if (confirms->next - confirms->base < confirms->capacity)
        return OK;
    larger.capacity = confirms->capacity ? confirms->capacity * 2 : FIRST_CAPACITY;
    larger.slots = calloc(larger.capacity, sizeof(*larger.slots));
    if (!larger.slots)
        return ERR_NOMEM;
    for (uint64_t sequence = confirms->base; sequence < confirms->next; sequence++)
        *slot_of(&larger, sequence) = *slot_of(confirms, sequence);
    free(confirms->slots);
    *confirms = larger;
    return OK;
}

void broker_confirms_add(struct broker_confirms *confirms, struct publish_op *op, uint64_t fingerprint)
{
    op->sequence = confirms->next;
    *slot_of(confirms, confirms->next) = (struct broker_confirms_slot){op, fingerprint};
    confirms->next++;
}

static void settle_one(struct broker_confirms *confirms, uint64_t sequence, broker_confirms_fn *fn,
                       void *context)
{
    struct publish_op *op = TAKE(slot_of(confirms, sequence)->op);

    if (op)
        fn(context, op);
}

/* Moves past what is settled at the front. */
static void advance(struct broker_confirms *confirms)
{
    while (confirms->base < confirms->next && !slot_of(confirms, confirms->base)->op)
        confirms->base++;
}

enum err broker_confirms_settle(struct broker_confirms *confirms, uint64_t sequence, bool multiple,
                                broker_confirms_fn *fn, void *context)
{
    if (multiple && sequence == 0)
        sequence = confirms->next - 1;
    else if (sequence == 0 || sequence >= confirms->next)
        return ERR_MALFORMED;
    if (!multiple && sequence >= confirms->base)
        settle_one(confirms, sequence, fn, context);
    for (uint64_t each = confirms->base; multiple && each <= sequence; each++)
        settle_one(confirms, each, fn, context);
    advance(confirms);
    return OK;
}

enum err broker_confirms_mark_returned(struct broker_confirms *confirms, uint64_t fingerprint)
{
    for (uint64_t sequence = confirms->base; sequence < confirms->next; sequence++) {
        struct broker_confirms_slot *slot = slot_of(confirms, sequence);

        if (slot->op && !slot->op->returned && slot->fingerprint == fingerprint) {
            slot->op->returned = true;
            return OK;
        }
    }
    /* One whose time was up before has been reported as of unknown fate; that stands. */
    return confirms->forgot ? OK : ERR_MALFORMED;
}

int64_t broker_confirms_expire(struct broker_confirms *confirms, int64_t now_ms, broker_confirms_fn *fn,
                               void *context)
{
    int64_t next_ms = -1;

    for (uint64_t sequence = confirms->base; sequence < confirms->next; sequence++) {
        struct publish_op *op = slot_of(confirms, sequence)->op;

        if (op && op->deadline_ms <= now_ms) {
            confirms->forgot = true;
            settle_one(confirms, sequence, fn, context);
        } else if (op && (next_ms < 0 || op->deadline_ms < next_ms)) {
            next_ms = op->deadline_ms;
        }
    }
    advance(confirms);
    return next_ms;
}

void broker_confirms_reset(struct broker_confirms *confirms, broker_confirms_fn *fn, void *context)
{
    for (uint64_t sequence = confirms->base; sequence < confirms->next; sequence++)
        settle_one(confirms, sequence, fn, context);
    broker_confirms_fini(confirms);
}

/* FNV-1a, 64 bits. */
static uint64_t hash_bytes(uint64_t hash, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (uint8_t)bytes[i]) * UINT64_C(1099511628211);
    return hash;
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
    for (; text && *text; text++)
        hash = hash_bytes(hash, text, 1);
    return hash_bytes(hash, "", 1);
}

uint64_t broker_confirms_fingerprint(const char *exchange, const char *routing_key, const char *message_id,
                                     const char *body, size_t body_length)
{
    uint64_t hash = hash_text(UINT64_C(14695981039346656037), exchange);
    size_t edge = body_length < FINGERPRINT_EDGE_BYTES ? body_length : FINGERPRINT_EDGE_BYTES;

    hash = hash_text(hash, routing_key);
    hash = hash_text(hash, message_id);
    hash = hash_bytes(hash, (const char *)&body_length, sizeof(body_length));
    if (edge == 0)
        return hash;
    return hash_bytes(hash_bytes(hash, body, edge), body + body_length - edge, edge);
}
