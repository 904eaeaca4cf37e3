/*
 * The first words on a connection to Redis. Decides what must be answered how before the link is up: a login
 * or database that is refused, a replica, a script that does not compile are no link. When to connect and to
 * try again is store.c's, its only caller.
 */
#include "common/store_greeting.h"

#include "common/store_reply.h"
#include "common/store_words.h"

#include <stdio.h>
#include <string.h>

enum step { STEP_LOGIN, STEP_DATABASE, STEP_NAME, STEP_ROLE };

enum err store_greeting_init(struct store_greeting *greeting, const struct store_uri *uri,
                             const struct store_script *scripts, size_t script_count)
{
    *greeting = (struct store_greeting){.uri = uri, .scripts = scripts, .script_count = script_count};
    greeting->digests = calloc(script_count + 1, sizeof(*greeting->digests));
    return greeting->digests ? OK : ERR_NOMEM;
}

void store_greeting_fini(struct store_greeting *greeting)
{
    free(greeting->digests);
    greeting->digests = NULL;
}

/* ---- asking ---- */

static bool send_args(struct store_link *link, const struct store_arg *args, size_t count)
{
    struct store_part part = {args, count};
    size_t length = 0;
    AUTO_FREE char *command = store_command_encode(&part, 1, &length);

    if (!command || !store_link_reserve(link, length))
        return false;
    store_link_write(link, command, length);
    explicit_bzero(command, length); /* it may hold the password */
    return true;
}

static bool send_step(const struct store_uri *uri, enum step step, struct store_link *link)
{
    struct store_arg args[3];
    char database[16];
    size_t count = 0;

    switch (step) {
    case STEP_LOGIN:
        args[count++] = STORE_ARG("AUTH");
        if (uri->username)
            args[count++] = STORE_ARG(uri->username);
        args[count++] = STORE_ARG(uri->password);
        break;
    case STEP_DATABASE:
        (void)snprintf(database, sizeof database, "%d", uri->database);
        args[count++] = STORE_ARG("SELECT");
        args[count++] = STORE_ARG(database);
        break;
    case STEP_NAME:
        args[count++] = STORE_ARG("CLIENT");
        args[count++] = STORE_ARG("SETNAME");
        args[count++] = STORE_ARG("fulfilld");
        break;
    case STEP_ROLE:
        args[count++] = STORE_ARG("ROLE");
        break;
    }
    return send_args(link, args, count);
}

static bool send_script(const struct store_script *script, struct store_link *link)
{
    struct store_arg args[] = {STORE_ARG("SCRIPT"), STORE_ARG("LOAD"), {script->text, script->length}};

    return send_args(link, args, ARRAY_LEN(args));
}

static void plan(struct store_greeting *greeting)
{
    greeting->step_count = 0;
    greeting->answered = 0;
    if (greeting->uri->password)
        greeting->steps[greeting->step_count++] = STEP_LOGIN;
    if (greeting->uri->database != 0)
        greeting->steps[greeting->step_count++] = STEP_DATABASE;
    greeting->steps[greeting->step_count++] = STEP_NAME;
    greeting->steps[greeting->step_count++] = STEP_ROLE;
}

bool store_greeting_send(struct store_greeting *greeting, struct store_link *link)
{
    bool is_sent = true;

    plan(greeting);
    for (size_t index = 0; is_sent && index < greeting->step_count; index++)
        is_sent = send_step(greeting->uri, (enum step)greeting->steps[index], link);
    for (size_t index = 0; is_sent && index < greeting->script_count; index++)
        is_sent = send_script(&greeting->scripts[index], link);
    return is_sent;
}

/* ---- judging the answers: OK, or why the link cannot be used ---- */

static struct fault judge_access(const struct store_uri *uri, const char *error)
{
    if (!error)
        return fault_of(OK);
    struct fault fault = store_error_read(error);
    /* For an operator to mend; until then Redis is away, whatever the words. */
    fault.code = ERR_UNAVAILABLE;
    if (uri->password && strstr(fault.detail, uri->password))
        fault = fault_make(ERR_UNAVAILABLE, "Redis refuses the login");
    return fault;
}

/* A password is asked for and there is none: said of everything, so the first answer has it. */
static struct fault judge_name(const struct store_reply *reply)
{
    const char *error = store_reply_error(reply);

    if (error && strncmp(error, "NOAUTH", 6) == 0)
        return fault_make(ERR_UNAVAILABLE, "%.200s", error);
    return fault_of(OK); /* a courtesy to operators, who may forbid it */
}

static struct fault judge_role(const struct store_reply *reply)
{
    const char *role = store_reply_str(store_reply_at(reply, 0), NULL);

    /* Where one may not ask, the first write will tell. */
    if (*role == '\0' || strcmp(role, "master") == 0)
        return fault_of(OK);
    return fault_make(ERR_UNAVAILABLE, "READONLY: this Redis is a %s, not a master", role);
}

static struct fault judge_script(struct store_greeting *greeting, size_t index,
                                 const struct store_reply *reply)
{
    const char *error = store_reply_error(reply);
    size_t length = 0;
    const char *digest = store_reply_str(reply, &length);

    if (error) {
        struct fault why = store_error_read(error);
        return fault_make(ERR_UNAVAILABLE, "script %s: %.200s", greeting->scripts[index].name, why.detail);
    }
    if (length != STORE_DIGEST_LENGTH)
        return fault_make(ERR_UNAVAILABLE, "Redis: unexpected answer to SCRIPT LOAD");
    memcpy(greeting->digests[index], digest, STORE_DIGEST_LENGTH + 1);
    return fault_of(OK);
}

static struct fault judge(struct store_greeting *greeting, size_t index, const struct store_reply *reply)
{
    if (index >= greeting->step_count)
        return judge_script(greeting, index - greeting->step_count, reply);
    switch ((enum step)greeting->steps[index]) {
    case STEP_LOGIN:
    case STEP_DATABASE:
        return judge_access(greeting->uri, store_reply_error(reply));
    case STEP_NAME:
        return judge_name(reply);
    case STEP_ROLE:
        return judge_role(reply);
    }
    return fault_of(OK);
}

bool store_greeting_take(struct store_greeting *greeting, const struct store_reply *reply, bool *ret_complete,
                         struct fault *ret_fault)
{
    struct fault fault = judge(greeting, greeting->answered++, reply);

    if (fault.code != OK) {
        *ret_fault = fault;
        return false;
    }
    if (greeting->answered == greeting->step_count + greeting->script_count)
        *ret_complete = true;
    return true;
}
