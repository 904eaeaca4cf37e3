/*
 * A small, blocking HTTP server for one client: the test kit's upstream. It is a process of its own, so that
 * the module meets the real HTTP client, time-outs and lost answers included. Called by cmd_module.c.
 */
#include "worker/module_script.h"

#include "common/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_REQUEST_BYTES = 2 * 1024 * 1024, SHOWN_BODY_BYTES = 2000 };

static int listen_somewhere(int *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 64) == 0 &&
        getsockname(fd, (struct sockaddr *)&address, &length) == 0) {
        *ret_port = ntohs(address.sin_port);
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

static size_t body_bytes(const char *head, const char *end)
{
    const char *at = strcasestr(head, "\ncontent-length:");
    long long bytes = at && at < end ? strtoll(at + 16, NULL, 10) : 0;

    return bytes > 0 && bytes < MAX_REQUEST_BYTES ? (size_t)bytes : 0;
}

/* Reads one whole request; false when the peer went away first. */
static bool read_request(int fd, struct text *request)
{
    char chunk[4096];

    for (;;) {
        const char *head = text_peek(request), *end = strstr(head, "\r\n\r\n");
        if (end && request->length >= (size_t)(end + 4 - head) + body_bytes(head, end))
            return true;
        ssize_t got = recv(fd, chunk, sizeof(chunk), 0);
        if (got <= 0 && !(got < 0 && errno == EINTR))
            return false;
        if (got > 0)
            text_append(request, chunk, (size_t)got);
        if (request->failed != OK)
            return false;
    }
}

static void show_request(const struct text *request)
{
    const char *head = text_peek(request), *end = strstr(head, "\r\n\r\n");
    int line = (int)strcspn(head, "\r\n");

    printf("--> %.*s\n", line > 9 ? line - 9 : line, head); /* without " HTTP/1.1" */
    for (const char *at = strstr(head, "\r\n"); at && at < end; at = strstr(at + 2, "\r\n")) {
        int length = (int)strcspn(at + 2, "\r\n");
        if (length > 0 && strncasecmp(at + 2, "host:", 5) != 0 &&
            strncasecmp(at + 2, "content-length:", 15) != 0)
            printf("    %.*s\n", length, at + 2);
    }
    if (end[4] != '\0')
        printf("    %.*s\n", SHOWN_BODY_BYTES, end + 4);
}

static void build_answer(const json_t *answer, struct text *out)
{
    const json_t *body = json_object_get(answer, "body");
    char *dumped = body && !json_is_string(body) ? json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    const char *bytes = dumped ? dumped : json_is_string(body) ? json_string_value(body) : "";
    json_int_t status = answer ? json_integer_value(json_object_get(answer, "status")) : 599;
    const char *key;
    json_t *value;

    text_printf(out, "HTTP/1.1 %d Scripted\r\nConnection: close\r\nContent-Length: %zu\r\n",
                status > 0 ? (int)status : 200, strlen(bytes));
    json_object_foreach(json_object_get(answer, "headers"), key, value) if (json_is_string(value))
        text_printf(out, "%s: %s\r\n", key, json_string_value(value));
    text_puts(out, "\r\n");
    text_puts(out, bytes);
    printf("<-- %d %.*s\n", status > 0 ? (int)status : 200, SHOWN_BODY_BYTES, bytes);
    free(dumped);
}

/* Answers one request; the connection stays open only where no answer is to come. */
static void answer_one(int fd, const json_t *answer)
{
    const char *fault = json_string_value(json_object_get(answer, "fault"));
    AUTO_TEXT struct text out = TEXT_EMPTY(MAX_REQUEST_BYTES);

    if (!answer)
        printf("    (more requests than answers)\n");
    if (fault && strcmp(fault, "never") == 0) {
        printf("<-- no answer\n");
        return; /* the descriptor is left open until the child ends */
    }
    if (fault && strcmp(fault, "garbage") == 0)
        text_puts(&out, "This is not HTTP.\r\n\r\n");
    else if (!fault)
        build_answer(answer, &out);
    if (fault)
        printf("<-- %s\n", fault);
    if (out.length > 0 && send(fd, text_peek(&out), out.length, MSG_NOSIGNAL) < 0)
        printf("    (the answer could not be sent)\n");
    close(fd);
}

static volatile sig_atomic_t script_end; /* enum module_script_end, should the child be ended now */

static void on_term(int signum)
{
    (void)signum;
    _exit(script_end);
}

static void count(size_t asked, size_t answers)
{
    script_end = asked == answers ? SCRIPT_USED_UP : asked > answers ? SCRIPT_TOO_SHORT : SCRIPT_TOO_LONG;
}

static void serve(int listener, const json_t *answers)
{
    size_t next = 0;

    count(0, json_array_size(answers));
    signal(SIGTERM, on_term);
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        AUTO_TEXT struct text request = TEXT_EMPTY(MAX_REQUEST_BYTES);
        if (fd < 0)
            continue;
        if (!read_request(fd, &request)) {
            close(fd);
            continue;
        }
        show_request(&request);
        count(next + 1,
              json_array_size(answers)); /* before the answer: with the last one, the end may come */
        answer_one(fd, json_array_get(answers, next++));
    }
}

pid_t module_script_start(const json_t *answers, int *ret_port, struct fault *ret_fault)
{
    int listener = listen_somewhere(ret_port);

    fflush(stdout);
    pid_t child = listener >= 0 ? fork() : -1;
    if (child == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0)
            _exit(1);
        serve(listener, answers);
    }
    if (child < 0)
        *ret_fault = fault_make(ERR_UNAVAILABLE, "the scripted upstream: %s", strerror(errno));
    if (listener >= 0)
        close(listener);
    return child;
}

enum module_script_end module_script_stop(pid_t child)
{
    int status = 0;

    if (kill(child, SIGTERM) == 0 && waitpid(child, &status, 0) == child && WIFEXITED(status))
        return (enum module_script_end)WEXITSTATUS(status);
    return SCRIPT_USED_UP;
}
