/* The store's contract against a private redis-server on its unix socket. */
#include "contract_store.h"

#include "support/await.h"
#include "support/redis_server.h"

static struct loop *loop;
static struct redis_server *server;

int subject_set_up(void)
{
    server = redis_server_start();
    loop = loop_new();
    return server && loop ? 0 : -1;
}

void subject_tear_down(void)
{
    loop_run(loop); /* ends only when the store has let go of everything */
    loop_free(loop);
    redis_server_stop(server);
    loop = NULL;
    server = NULL;
}

struct loop *subject_loop(void)
{
    return loop;
}

const char *subject_uri(void)
{
    return redis_server_uri(server);
}

void subject_expect(enum contract_script script)
{
    (void)script; /* it answers of its own accord */
}

void subject_expect_ping(void)
{
}

void subject_expect_silence(void)
{
}

void subject_break_link(void)
{
    char answer[64];

    redis_server_do(server, "CLIENT KILL TYPE normal SKIPME yes", answer, sizeof answer);
}

void subject_mend_link(void)
{
}

bool subject_await(const bool *flag)
{
    return await_flag(loop, flag);
}
