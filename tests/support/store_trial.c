/* See store_trial.h. */
#include "support/store_trial.h"

#include "support/await.h"
#include "support/unit.h"

#include <stdio.h>

#define SCRIPT(name, text)                                                                                   \
    {                                                                                                        \
        name, text, sizeof(text) - 1                                                                         \
    }
const struct store_script trial_scripts[] = {
    [SCRIPT_WRITE] = SCRIPT("write", "redis.call('SET', KEYS[1], ARGV[1]) return ARGV[1]"),
    [SCRIPT_GIVE] = SCRIPT("give", "return ARGV[1]"),
    [SCRIPT_FILL] = SCRIPT("fill", "redis.call('SET', KEYS[1], string.rep('x', 1000000)) return 1"),
};

struct loop *loop;
struct store *store;
bool is_up;
size_t up_count, down_count;
struct fault last_fault;

int store_trial_init(void)
{
    loop = loop_new();
    is_up = false;
    up_count = down_count = 0;
    last_fault = fault_of(OK);
    return loop ? 0 : -1;
}

void store_trial_fini(void)
{
    store_close(store);
    store = NULL;
    loop_run(loop);
    loop_free(loop);
    loop = NULL;
}

void store_trial_on_state(void *context, bool up, const struct fault *fault)
{
    (void)context;
    is_up = up;
    *(up ? &up_count : &down_count) += 1;
    if (fault)
        last_fault = *fault;
}

static void on_done(struct store_op *op, const struct store_reply *reply, const struct fault *fault)
{
    struct trial *trial = container_of(op, struct trial, op);

    assert_false(trial->ended);
    trial->ended = true;
    trial->fault = *fault;
    trial->number = store_reply_int(reply);
    snprintf(trial->text, sizeof trial->text, "%s", store_reply_str(reply, NULL));
}

void store_trial_open(const char *uri, const char *password, size_t script_count)
{
    struct fault fault = fault_of(OK);
    struct store_options options = {.uri = uri,
                                    .password = password,
                                    .timeout_ms = STORE_TRIAL_TIMEOUT_MS,
                                    .scripts = trial_scripts,
                                    .script_count = script_count};

    store = store_open(loop, &options, store_trial_on_state, NULL, &fault);
    assert_non_null(store);
}

void store_trial_script(struct trial *trial, size_t script, const char *argument)
{
    struct store_arg key = STORE_ARG("key"), arg = STORE_ARG(argument);

    store_script_start(store, &trial->op, &trial_scripts[script], &key, 1, &arg, 1, on_done);
}

void store_trial_command(struct trial *trial, const char *first, const char *second, const char *third)
{
    struct store_arg args[3] = {STORE_ARG(first)};
    size_t count = 1;

    if (second)
        args[count++] = STORE_ARG(second);
    if (third)
        args[count++] = STORE_ARG(third);
    store_command_start(store, &trial->op, args, count, on_done);
}

void store_trial_finish(struct trial *trial, enum err code)
{
    assert_true(await_flag(loop, &trial->ended));
    if (trial->fault.code != code)
        fail_msg("%s: %s", err_name(trial->fault.code), trial->fault.detail);
}
