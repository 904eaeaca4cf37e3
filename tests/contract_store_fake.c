/* The store's contract against tests/fakes/fake_store.c, on the virtual clock. */
#include "contract_store.h"

#include "fakes/fake_loop.h"
#include "fakes/fake_store.h"

static struct loop *loop;

int subject_set_up(void)
{
    loop = loop_new();
    return loop ? 0 : -1;
}

void subject_tear_down(void)
{
    fake_loop_settle(loop);
    fake_store_reset();
    loop_free(loop);
    loop = NULL;
}

struct loop *subject_loop(void)
{
    return loop;
}

const char *subject_uri(void)
{
    return "redis://localhost";
}

void subject_expect(enum contract_script script)
{
    const char *name = contract_scripts[script].name;

    switch (script) {
    case SCRIPT_KINDS:
        fake_store_answer(name,
                          fake_reply_array(5, fake_reply_int(1), fake_reply_str("two"), fake_reply_nil(),
                                           fake_reply_strings("3", NULL), fake_reply_str("42")));
        break;
    case SCRIPT_ECHO:
        fake_store_answer(name, fake_reply_strings("k", "a b", "", NULL));
        break;
    case SCRIPT_FAILING:
        fake_store_fail(name, ERR_REFUSED, "Redis: ERR boom");
        break;
    case SCRIPT_FULL:
        fake_store_fail(name, ERR_UNAVAILABLE, "Redis: OOM");
        break;
    }
}

void subject_expect_ping(void)
{
    fake_store_answer("PING", fake_reply_str("PONG"));
}

void subject_expect_silence(void)
{
    fake_store_ignore("BLPOP");
}

void subject_break_link(void)
{
    fake_store_set_up(false);
}

void subject_mend_link(void)
{
    fake_store_set_up(true);
}

bool subject_await(const bool *flag)
{
    fake_loop_settle(loop);
    if (!*flag)
        fake_loop_advance(loop, SUBJECT_TIMEOUT_MS);
    return *flag;
}
