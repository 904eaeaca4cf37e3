/* The HTTP client's contract against tests/fakes/fake_http.c, on the virtual clock. */
#include "contract_http.h"

#include "fakes/fake_http.h"
#include "fakes/fake_loop.h"

#include <stdio.h>
#include <string.h>

static struct loop *loop;

int subject_set_up(void)
{
    loop = loop_new();
    return loop ? 0 : -1;
}

void subject_tear_down(void)
{
    fake_loop_settle(loop);
    fake_http_reset();
    loop_free(loop);
    loop = NULL;
}

struct loop *subject_loop(void)
{
    return loop;
}

const char *subject_url(const char *path)
{
    static char url[64];

    snprintf(url, sizeof url, "http://lms.example%s", path);
    return url;
}

void subject_expect(const char *path)
{
    struct fake_http_answer answer = {.status = 200, .body = "ok"};
    char big[SUBJECT_MAX_RESPONSE + 2];

    if (strcmp(path, "/never") == 0) {
        fake_http_ignore("POST", path);
        return;
    }
    if (strcmp(path, "/retry-7") == 0)
        answer = (struct fake_http_answer){
            .status = 503, .header_name = "Retry-After", .header_value = "7", .retry_after_s = 7};
    if (strcmp(path, "/close") == 0)
        answer = (struct fake_http_answer){.outcome = HTTP_NO_ANSWER};
    memset(big, 'b', sizeof big);
    big[sizeof big - 1] = '\0';
    if (strcmp(path, "/big-declared") == 0)
        answer.body = big;
    fake_http_answer("POST", path, &answer);
}

bool subject_await(const bool *flag)
{
    fake_loop_settle(loop);
    if (!*flag)
        fake_loop_advance(loop, SUBJECT_TIMEOUT_MS);
    return *flag;
}
