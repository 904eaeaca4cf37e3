/*
 * Packs keys and arguments of the ledger's scripts. Decides the names of keys (docs/redis.md); everything it
 * points at is the ledger's own or borrowed until the store has copied it. Called by ledger.c.
 */
#include "worker/ledger_pack.h"

#include <assert.h>
#include <string.h>

/* "{", "}" and "%" would break the hash tag or the encoding; control bytes would break a terminal. */
static char *encode_number(char *at, const char *number)
{
    static const char hex[] = "0123456789ABCDEF";

    for (; *number; number++) {
        unsigned char c = (unsigned char)*number;

        if (c < 0x20 || c == 0x7f || c == '{' || c == '}' || c == '%') {
            *at++ = '%';
            *at++ = hex[c >> 4];
            *at++ = hex[c & 15];
        } else {
            *at++ = (char)c;
        }
    }
    return at;
}

size_t ledger_key_bytes(const char *prefix)
{
    /* Each byte of a number may become three; then "{}", ":item:", the item and NUL. */
    return strlen(prefix) + 3 * (size_t)ORDER_MAX_NUMBER + ORDER_ITEM_ID_SIZE + 16;
}

bool ledger_order_key(const char *prefix, const char *order_number, char *ret_key, size_t size)
{
    char *at;

    if (size < ledger_key_bytes(prefix) || !order_number[0] || strlen(order_number) > ORDER_MAX_NUMBER)
        return false;
    at = stpcpy(ret_key, prefix);
    *at++ = '{';
    at = encode_number(at, order_number);
    *at++ = '}';
    *at = '\0';
    return true;
}

bool ledger_item_key(const char *order_key, const char *item_id, char *ret_key, size_t size)
{
    if (strlen(order_key) + strlen(item_id) + sizeof(":item:") > size)
        return false;
    stpcpy(stpcpy(stpcpy(ret_key, order_key), ":item:"), item_id);
    return true;
}

void ledger_pack_start(struct ledger *ledger, const char *order_number, const char *item_id)
{
    bool named = ledger_order_key(ledger->prefix, order_number, ledger->order_key, ledger->key_bytes) &&
                 ledger_item_key(ledger->order_key, item_id, ledger->item_key, ledger->key_bytes);

    assert(named); /* order_parse() keeps the limits */
    (void)named;
    ledger->arg_count = 0;
    ledger->number_count = 0;
}

void ledger_pack_bytes(struct ledger *ledger, const char *data, size_t length)
{
    assert(ledger->arg_count < LEDGER_MAX_ARGS);
    ledger->args[ledger->arg_count++] = (struct store_arg){data, length};
}

void ledger_pack_text(struct ledger *ledger, const char *text)
{
    ledger_pack_bytes(ledger, text ? text : "", text ? strlen(text) : 0);
}

void ledger_pack_number(struct ledger *ledger, int64_t number)
{
    char *text;

    assert(ledger->number_count < LEDGER_MAX_NUMBERS);
    text = ledger->numbers[ledger->number_count++];
    ledger_pack_bytes(ledger, text, text_write_integer(text, number));
}

void ledger_pack_flag(struct ledger *ledger, bool flag)
{
    ledger_pack_text(ledger, flag ? "1" : "");
}
