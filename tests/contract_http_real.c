/* The HTTP client's contract against a puppet server on the same loop. */
#include "contract_http.h"

#include "support/await.h"
#include "support/http_puppet.h"

static struct loop *loop;
static struct http_puppet *puppet;

int subject_set_up(void)
{
    loop = loop_new();
    puppet = loop ? http_puppet_new(loop) : NULL;
    return puppet ? 0 : -1;
}

void subject_tear_down(void)
{
    http_puppet_free(puppet);
    loop_run(loop); /* ends only when the client has let go of everything */
    loop_free(loop);
    puppet = NULL;
    loop = NULL;
}

struct loop *subject_loop(void)
{
    return loop;
}

const char *subject_url(const char *path)
{
    return http_puppet_url(puppet, path);
}

void subject_expect(const char *path)
{
    (void)path; /* the puppet knows them all */
}

bool subject_await(const bool *flag)
{
    return await_flag(loop, flag);
}
