/*
 * How much the HTTP client costs: bench_http URL [REQUESTS] [IN_FLIGHT] POSTs a small body again and again
 * and prints requests per second and CPU time per request of this process. The server is yours to start.
 */
#include "common/http.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum { IN_FLIGHT_MAX = 4096, TIMEOUT_MS = 10000 };

static const char body[] =
    "{\"user\":\"honor\",\"mode\":\"verified\",\"course_details\":{\"course_id\":\"course-v1:X\"}}";

static struct http *http;
static struct http_op ops[IN_FLIGHT_MAX];
static const char *url;
static size_t to_start, to_finish, failures;

static void start(struct http_op *op);

static void on_done(struct http_op *op)
{
    if (op->outcome != HTTP_ANSWERED && failures++ == 0)
        fprintf(stderr, "%s: %s\n", http_outcome_text(op->outcome), op->detail);
    if (--to_finish == 0)
        http_close(http);
    else if (to_start > 0)
        start(op);
}

static void start(struct http_op *op)
{
    static const struct http_header headers[] = {
        {"Content-Type", "application/json"}, {"X-Edx-Api-Key", "key"}, {"Accept", "application/json"}};
    struct http_request request = {.method = "POST",
                                   .url = url,
                                   .headers = headers,
                                   .header_count = ARRAY_LEN(headers),
                                   .body = body,
                                   .body_length = sizeof body - 1,
                                   .connect_timeout_ms = TIMEOUT_MS,
                                   .timeout_ms = TIMEOUT_MS};

    to_start--;
    http_start(http, op, &request, on_done);
}

static double cpu_us(void)
{
    struct rusage usage = {.ru_maxrss = 0};

    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

int main(int argc, char **argv)
{
    size_t count = argc > 2 ? strtoul(argv[2], NULL, 10) : 50000;
    size_t in_flight = argc > 3 ? strtoul(argv[3], NULL, 10) : 256;
    struct http_options options = {.max_connections = in_flight, .max_response_bytes = 1 << 20};
    struct fault fault = fault_of(OK);
    struct loop *loop = loop_new();

    if (argc < 2 || count == 0 || in_flight == 0 || in_flight > IN_FLIGHT_MAX || !loop) {
        fprintf(stderr, "usage: %s URL [REQUESTS] [IN_FLIGHT up to %d]\n", argv[0], IN_FLIGHT_MAX);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    url = argv[1];
    http = http_open(loop, &options, &fault);
    if (!http) {
        fprintf(stderr, "%s\n", fault.detail);
        return 1;
    }
    to_start = to_finish = count;
    for (size_t index = 0; index < in_flight && to_start > 0; index++)
        start(&ops[index]);
    int64_t began_us = loop_wall_us(loop);
    loop_run(loop);
    double elapsed_us = (double)(loop_wall_us(loop) - began_us);
    printf("%zu requests, %zu in flight: %.0f/s, %.1f us CPU each, %zu failed\n", count, in_flight,
           (double)count * 1e6 / elapsed_us, cpu_us() / (double)count, failures);
    loop_free(loop);
    return failures > 0;
}
