/*
 * Finds the row of outcomes.def that an answer meets, and takes the upstream's words out of its body. What a
 * row means to a line is decided by the table alone; what a module makes of it is the module's affair.
 * Called by module_call.c.
 */
#include "worker/outcome.h"

#include "common/scope.h"
#include "common/text.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* Longer bodies are not read for words: an error message is short. */
enum { WORDS_MAX_BODY_BYTES = 64 * 1024 };

#define SENT_NOTHING               OUTCOME_SENT_NOTHING, FULFILL_ANSWERED, 0, 0
#define HTTP(from, to)             OUTCOME_ANSWER, FULFILL_ANSWERED, from, to
#define BROKE(transport)           OUTCOME_ANSWER, FULFILL_##transport, 0, 0
#define TOKEN(transport, from, to) OUTCOME_ANSWER, FULFILL_##transport, from, to
#define ANYTHING                   OUTCOME_ANYTHING, ""
#define SAYS(text)                 OUTCOME_SAYS, text
#define AFTER                      OUTCOME_AFTER, ""
#define FINDS(word)                OUTCOME_FINDS, word

/* One step of indirection, so that the macros above become several columns. */
#define OUTCOME(...) OUTCOME_ROW(__VA_ARGS__)
#define OUTCOME_ROW(module, operation, id, where, transport, from, to, match, text, decision, reason,        \
                    status, health, look, when, remedy)                                                      \
    {#module,                                                                                                \
     OUTCOME_OP_##operation,                                                                                 \
     #id,                                                                                                    \
     where,                                                                                                  \
     transport,                                                                                              \
     from,                                                                                                   \
     to,                                                                                                     \
     match,                                                                                                  \
     text,                                                                                                   \
     FULFILL_##decision,                                                                                     \
     reason,                                                                                                 \
     FULFILL_STATUS_##status,                                                                                \
     FULFILL_HEALTH_##health,                                                                                \
     FULFILL_LOOK_##look,                                                                                    \
     when,                                                                                                   \
     remedy},

const struct outcome_row outcome_rows[] = {
#include "worker/outcomes.def"
};
const size_t outcome_row_count = ARRAY_LEN(outcome_rows);

static bool has_status(enum fulfill_transport transport)
{
    return transport == FULFILL_ANSWERED || transport == FULFILL_TOKEN_FAILED ||
           transport == FULFILL_TOKEN_REFUSED;
}

static bool row_fits(const struct outcome_row *row, const struct fulfill_answer *answer, const char *finding)
{
    if (finding && (row->match != OUTCOME_FINDS || strcmp(row->text, finding) != 0))
        return false;
    if (row->where == OUTCOME_SENT_NOTHING || !answer)
        return finding && row->where == OUTCOME_SENT_NOTHING;
    if (answer->transport != row->transport)
        return false;
    if (has_status(row->transport) && (answer->status < row->from || answer->status > row->to))
        return false;
    switch (row->match) {
    case OUTCOME_ANYTHING:
        return true;
    case OUTCOME_SAYS:
        return answer->body && memmem(answer->body, answer->body_length, row->text, strlen(row->text));
    case OUTCOME_AFTER:
        return answer->retry_after_s >= 0;
    case OUTCOME_FINDS:
        return finding != NULL;
    }
    return false;
}

const struct outcome_row *outcome_find(const char *module, enum fulfill_operation operation,
                                       const struct fulfill_answer *answer, const char *finding)
{
    unsigned bit = 1u << (unsigned)operation;

    for (size_t i = 0; i < outcome_row_count; i++) {
        const struct outcome_row *row = &outcome_rows[i];
        if ((row->operations & bit) &&
            (strcmp(row->module, module) == 0 || strcmp(row->module, "any") == 0) &&
            row_fits(row, answer, finding))
            return row;
    }
    /* A finding that no row knows: the answer alone decides. */
    if (finding && answer)
        return outcome_find(module, operation, answer, NULL);
    for (size_t i = 0; i < outcome_row_count; i++)
        if (strcmp(outcome_rows[i].id, "MODULE_NONSENSE") == 0)
            return &outcome_rows[i];
    return &outcome_rows[outcome_row_count - 1];
}

/* What happened, without the number that docs/failures.md knows it by ("E19: …"): staff read it. */
static const char *plain_words(const struct outcome_row *row)
{
    size_t digits = row->when[0] == 'E' ? strspn(row->when + 1, "0123456789") : 0;

    return digits > 0 && strncmp(row->when + 1 + digits, ": ", 2) == 0 ? row->when + digits + 3 : row->when;
}

void outcome_fill(const struct outcome_row *row, const struct fulfill_answer *answer,
                  char words[OUTCOME_WORDS_BYTES], struct fulfill_result *ret_result)
{
    bool done = row->decision == FULFILL_DONE; /* what went well needs no words */

    words[0] = '\0';
    if (!done && answer && has_status(answer->transport))
        outcome_words(answer, words);
    if (!done && words[0] == '\0')
        text_utf8_copy(words, OUTCOME_WORDS_BYTES, plain_words(row), strlen(plain_words(row)));
    *ret_result = (struct fulfill_result){
        .size = sizeof(*ret_result),
        .decision = row->decision,
        .status = row->status,
        .health = row->health,
        .reason = row->reason[0] != '\0' ? row->reason : NULL,
        .message = done ? NULL : words,
        .http_status = answer && has_status(answer->transport) ? answer->status : 0,
        .retry_after_s = answer ? answer->retry_after_s : -1,
        .look_first = (int)row->look,
    };
}

/* ---- words ---- */

/* The first text in a member of an error document: itself, or the first of an array. NULL = none. */
static const char *text_of(const json_t *value)
{
    if (json_is_array(value))
        value = json_array_get(value, 0);
    if (json_is_object(value))
        value = json_object_get(value, "message");
    const char *text = json_string_value(value);
    return text && text[0] != '\0' ? text : NULL;
}

/* The members that the LMS, DRF and OAuth put their words into, the best first. */
static bool words_of_object(const json_t *object, char words[OUTCOME_WORDS_BYTES])
{
    static const char *const known[] = {"message",      "detail", "developer_message", "error_description",
                                        "user_message", "error",  "error_code"};
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        const char *text = text_of(json_object_get(object, known[i]));
        if (text) {
            text_utf8_copy(words, OUTCOME_WORDS_BYTES, text, strlen(text));
            return true;
        }
    }
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        const char *text = text_of(value);
        if (text && json_is_array(value)) { /* DRF: {"user": ["Object with username=x does not exist."]} */
            char joined[2 * OUTCOME_WORDS_BYTES];
            int length = snprintf(joined, sizeof(joined), "%s: %s", key, text);
            if (length > 0)
                text_utf8_copy(words, OUTCOME_WORDS_BYTES, joined, strlen(joined));
            return length > 0;
        }
    }
    return false;
}

void outcome_words(const struct fulfill_answer *answer, char words[OUTCOME_WORDS_BYTES])
{
    words[0] = '\0';
    if (!answer->body || answer->body_length == 0 || answer->body_length > WORDS_MAX_BODY_BYTES)
        return;
    const char *start = answer->body + strspn(answer->body, " \t\r\n");
    if (*start == '{' || *start == '[' || *start == '"') {
        json_t *document = json_loadb(answer->body, answer->body_length, JSON_DECODE_ANY, NULL);
        if (document) {
            const char *text = text_of(document);
            if (text && !json_is_object(document))
                text_utf8_copy(words, OUTCOME_WORDS_BYTES, text, strlen(text));
            else if (json_is_object(document))
                words_of_object(document, words);
            json_decref(document);
            return;
        }
    }
    if (*start == '<') /* a page for browsers: its mark-up helps nobody */
        return;
    size_t length = answer->body_length - (size_t)(start - answer->body);
    while (length > 0 && strchr(" \t\r\n", start[length - 1]))
        length--;
    text_utf8_copy(words, OUTCOME_WORDS_BYTES, start, length);
}
