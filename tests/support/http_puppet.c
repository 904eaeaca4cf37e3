/* See http_puppet.h. */
#include "support/http_puppet.h"

#include <stdio.h>
#include <string.h>

enum { KEPT = 64, WAITING_MAX = 64, REQUEST_MAX = 1 << 20 };

enum after { STAY, END, RESET };

struct answer {
    const char *path;
    const char *bytes; /* NULL = none */
    enum after after;
};

#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define HEAD_200  "HTTP/1.1 200 OK\r\n"

static const struct answer answers[] = {
    {"/ok", OK_ANSWER, STAY},
    {"/never", NULL, STAY},
    {"/close", NULL, END},
    {"/reset", NULL, RESET},
    {"/ok-then-close", OK_ANSWER, END},
    {"/half-head", HEAD_200 "Content-Le", END},
    {"/head-without-end", HEAD_200 "Content-Length: 2\r\n", END},
    {"/half-body", HEAD_200 "Content-Length: 100\r\n\r\nab", END},
    {"/half-body-never", HEAD_200 "Content-Length: 100\r\n\r\nab", STAY},
    {"/bad-chunk", HEAD_200 "Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", STAY},
    {"/half-chunk", HEAD_200 "Transfer-Encoding: chunked\r\n\r\n10\r\nab", END},
    {"/chunked", HEAD_200 "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Trailer: t\r\n\r\n", STAY},
    {"/until-close", HEAD_200 "\r\nok", END},
    {"/garbage", "\x16\x03\x01garbage\r\n\r\n", END},
    {"/http-0.9", "<html>ok</html>", END},
    {"/other-protocol", "SSH-2.0-OpenSSH_9.2\r\n", END},
    {"/status-999", "HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", STAY},
    {"/continue", "HTTP/1.1 100 Continue\r\n\r\n" OK_ANSWER, STAY},
    {"/redirect", "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n", STAY},
    {"/unauthorized", "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n",
     STAY},
    {"/cookie", HEAD_200 "Set-Cookie: a=b\r\nContent-Length: 0\r\n\r\n", STAY},
    {"/empty", "HTTP/1.1 204 No Content\r\n\r\n", STAY},
    {"/twice", HEAD_200 "X-Twice: first\r\nX-Twice: second\r\nContent-Length: 0\r\n\r\n", STAY},
    {"/retry-7", "HTTP/1.1 503 No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", STAY},
    {"/retry-past",
     "HTTP/1.1 503 No\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\nContent-Length: 0\r\n\r\n", STAY},
    {"/retry-2099",
     "HTTP/1.1 503 No\r\nRetry-After: Thu, 31 Dec 2099 23:59:59 GMT\r\nContent-Length: 0\r\n\r\n", STAY},
    {"/retry-huge", "HTTP/1.1 503 No\r\nRetry-After: 99999999999999999999\r\nContent-Length: 0\r\n\r\n",
     STAY},
    {"/retry-odd", "HTTP/1.1 503 No\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n", STAY},
    {"/retry-negative", "HTTP/1.1 503 No\r\nRetry-After: -5\r\nContent-Length: 0\r\n\r\n", STAY},
    {"/big-declared", HEAD_200 "Content-Length: 1000000\r\n\r\nabc", STAY},
};

struct http_puppet {
    struct puppet *peers;
    size_t count;
    char heads[KEPT][128]; /* first lines */
    char *last;
    struct puppet_peer *waiting[WAITING_MAX];
    size_t waiting_count;
};

/* Sends far more than any test allows: a header line without end, header lines without end, a body without
 * end. */
static bool act_endless(struct puppet_peer *peer, const char *path)
{
    static char filler[150000];
    size_t length = 0;

    if (strcmp(path, "/endless-line") == 0) {
        length = (size_t)snprintf(filler, sizeof filler, HEAD_200 "X-Long: ");
        memset(filler + length, 'a', sizeof filler - length);
        length = sizeof filler;
    } else if (strcmp(path, "/endless-lines") == 0) {
        length = (size_t)snprintf(filler, sizeof filler, HEAD_200);
        while (length + 20 < sizeof filler)
            length += (size_t)snprintf(filler + length, 20, "X-Line: abcdefg\r\n");
    } else if (strcmp(path, "/endless-body") == 0) {
        length = (size_t)snprintf(filler, sizeof filler, HEAD_200 "\r\n");
        memset(filler + length, 'b', sizeof filler - length);
        length = sizeof filler;
    }
    if (length > 0)
        puppet_send(peer, filler, length);
    return length > 0;
}

static void act(struct http_puppet *puppet, struct puppet_peer *peer, const char *path)
{
    for (size_t index = 0; index < ARRAY_LEN(answers); index++) {
        const struct answer *answer = &answers[index];
        if (strcmp(answer->path, path) != 0)
            continue;
        if (strcmp(path, "/never") == 0 && puppet->waiting_count < WAITING_MAX)
            puppet->waiting[puppet->waiting_count++] = peer;
        if (answer->bytes)
            puppet_say(peer, answer->bytes);
        if (answer->after == END)
            puppet_end(peer);
        else if (answer->after == RESET)
            puppet_reset(peer);
        return;
    }
    if (!act_endless(peer, path))
        puppet_say(peer, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
}

/* Length of the whole request at `data`, or 0. */
static size_t whole_request(const char *data, size_t length)
{
    const char *end = memmem(data, length, "\r\n\r\n", 4);
    const char *declared = end ? strcasestr(data, "\r\nContent-Length:") : NULL;
    size_t head = end ? (size_t)(end - data) + 4 : 0;
    size_t body = declared && declared < end ? strtoul(declared + 17, NULL, 10) : 0;

    return end && length >= head + body ? head + body : 0;
}

static void on_data(void *context, struct puppet_peer *peer, const char *data, size_t length)
{
    struct http_puppet *puppet = context;
    size_t whole = whole_request(data, length);
    char path[64] = "";

    if (whole == 0 || length > REQUEST_MAX)
        return;
    free(puppet->last);
    puppet->last = strndup(data, whole);
    snprintf(puppet->heads[puppet->count++ % KEPT], sizeof puppet->heads[0], "%.*s", (int)strcspn(data, "\r"),
             data);
    (void)sscanf(data, "%*s %63s", path);
    puppet_forget(peer);
    act(puppet, peer, path);
}

struct http_puppet *http_puppet_new(struct loop *loop)
{
    struct http_puppet *puppet = calloc(1, sizeof *puppet);

    if (!puppet)
        abort();
    puppet->peers = puppet_new(loop, on_data, puppet);
    return puppet;
}

void http_puppet_free(struct http_puppet *puppet)
{
    if (!puppet)
        return;
    puppet_free(puppet->peers);
    free(puppet->last);
    free(puppet);
}

struct puppet *http_puppet_peers(struct http_puppet *puppet)
{
    return puppet->peers;
}

const char *http_puppet_url(const struct http_puppet *puppet, const char *path)
{
    static char url[128];

    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", puppet_port(puppet->peers), path);
    return url;
}

size_t http_puppet_count(const struct http_puppet *puppet, const char *method, const char *path)
{
    size_t count = 0;

    for (size_t index = 0; index < puppet->count && index < KEPT; index++) {
        char found_method[32] = "", found_path[64] = "";
        (void)sscanf(puppet->heads[index], "%31s %63s", found_method, found_path);
        count += (!method || strcmp(method, found_method) == 0) && (!path || strcmp(path, found_path) == 0);
    }
    return count;
}

const char *http_puppet_last(const struct http_puppet *puppet)
{
    return puppet->last ? puppet->last : "";
}

void http_puppet_answer_waiting(struct http_puppet *puppet)
{
    while (puppet->waiting_count > 0)
        puppet_say(puppet->waiting[--puppet->waiting_count], OK_ANSWER);
}
