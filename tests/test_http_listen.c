/* common/http_listen.c over real sockets on the real loop. */
#include "common/http_listen.h"

#include "support/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static struct loop *loop;
static struct http_listen *server;

/* A client: sends one text, collects the answer until the server closes. */
struct client {
    int fd;
    struct loop_poll *poll;
    char answer[65536];
    size_t length;
    bool closed;
};

static size_t open_clients;

static void on_path(void *context, const char *path, struct http_listen_answer *answer)
{
    assert_ptr_equal(context, &server);
    if (strcmp(path, "/healthz") == 0) {
        answer->status = 200;
        text_puts(&answer->body, "alive\n");
    } else if (strcmp(path, "/metrics") == 0) {
        answer->status = 200;
        answer->content_type = "text/plain; version=0.0.4";
        for (int i = 0; i < 5000; i++)
            text_puts(&answer->body, "metric 1\n");
    } else if (strcmp(path, "/readyz") == 0) {
        answer->status = 503;
        text_puts(&answer->body, "redis is down\n");
    } else if (strcmp(path, "/too-big") == 0) {
        answer->status = 200;
        answer->body.failed = ERR_TOO_BIG;
    }
}

static int set_up(void **state)
{
    struct fault fault;

    (void)state;
    open_clients = 0;
    loop = loop_new();
    server = loop ? http_listen_open(loop, "127.0.0.1:0", on_path, &server, &fault) : NULL;
    return server ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    http_listen_close(server);
    loop_free(loop);
    return 0;
}

static void on_answer(void *context, int events)
{
    struct client *client = context;
    ssize_t count =
        read(client->fd, client->answer + client->length, sizeof(client->answer) - 1 - client->length);

    (void)events;
    if (count < 0 && errno == EAGAIN)
        return;
    if (count > 0) {
        client->length += (size_t)count;
        return;
    }
    client->answer[client->length] = '\0';
    client->closed = true;
    loop_poll_free(client->poll);
    close(client->fd);
    if (--open_clients == 0)
        loop_stop(loop);
}

static void start_client(struct client *client, const char *request)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(http_listen_port(server)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    *client = (struct client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_true(client->fd >= 0);
    assert_int_equal(connect(client->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(fcntl(client->fd, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(write(client->fd, request, strlen(request)), (ssize_t)strlen(request));
    client->poll = loop_poll_new(loop, client->fd, on_answer, client);
    assert_non_null(client->poll);
    loop_poll_set(client->poll, LOOP_READABLE);
    open_clients++;
}

static const char *ask(const char *request)
{
    static struct client client;

    start_client(&client, request);
    loop_run(loop);
    assert_true(client.closed);
    return client.answer;
}

#define CLOSING " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

static void test_a_path_is_answered(void **state)
{
    const char *answer = ask("GET /healthz?verbose=1" CLOSING);

    (void)state;
    assert_non_null(strstr(answer, "HTTP/1.1 200 "));
    assert_non_null(strstr(answer, "Content-Type: text/plain; charset=utf-8\r\n"));
    assert_non_null(strstr(answer, "\r\n\r\nalive\n"));
    assert_non_null(strstr(ask("GET /readyz" CLOSING), "HTTP/1.1 503 "));
}

static void test_a_long_answer_arrives_whole(void **state)
{
    const char *answer = ask("GET /metrics" CLOSING);

    (void)state;
    assert_non_null(strstr(answer, "Content-Type: text/plain; version=0.0.4\r\n"));
    assert_int_equal(strlen(strstr(answer, "\r\n\r\n") + 4), 5000 * strlen("metric 1\n"));
}

static void test_head_has_no_body(void **state)
{
    const char *answer = ask("HEAD /healthz" CLOSING);

    (void)state;
    assert_non_null(strstr(answer, "HTTP/1.1 200 "));
    assert_non_null(strstr(answer, "Content-Length: 6\r\n"));
    assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
}

static void test_an_unknown_path_is_not_found(void **state)
{
    (void)state;
    assert_non_null(strstr(ask("GET /secret" CLOSING), "HTTP/1.1 404 "));
}

static void test_other_methods_are_not_allowed(void **state)
{
    const char *answer =
        ask("POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc");

    (void)state;
    assert_non_null(strstr(answer, "HTTP/1.1 405 "));
    assert_non_null(strstr(answer, "Allow: GET, HEAD\r\n"));
}

static void test_an_answer_that_could_not_be_made_says_so(void **state)
{
    (void)state;
    assert_non_null(strstr(ask("GET /too-big" CLOSING), "HTTP/1.1 500 "));
}

static void test_what_is_no_http_is_refused(void **state)
{
    (void)state;
    assert_non_null(strstr(ask("\x16\x03\x01 nonsense\r\n\r\n"), "400"));
}

static void test_more_connections_than_allowed_wait_for_their_turn(void **state)
{
    static struct client clients[HTTP_LISTEN_MAX_CONNECTIONS + 10];
    size_t served = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        start_client(&clients[i], "GET /healthz" CLOSING);
    loop_run(loop);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        served += strstr(clients[i].answer, "alive") != NULL;
    assert_int_equal(served, ARRAY_LEN(clients));
}

static void test_a_busy_port_is_a_clear_fault(void **state)
{
    struct fault fault;
    char address[64], words[128];

    (void)state;
    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", http_listen_port(server));
    (void)snprintf(words, sizeof(words), "http.listen = %s: another program listens on this port", address);
    assert_null(http_listen_open(loop, address, on_path, &server, &fault));
    assert_int_equal(fault.code, ERR_CONFIG);
    assert_string_equal(fault.detail, words);
}

static void test_an_address_that_is_not_ours_is_a_clear_fault(void **state)
{
    struct fault fault;

    (void)state;
    assert_null(http_listen_open(loop, "192.0.2.1:0", on_path, &server, &fault));
    assert_string_equal(fault.detail, "http.listen = 192.0.2.1:0: Cannot assign requested address");
    assert_null(http_listen_open(loop, "9464", on_path, &server, &fault));
    assert_string_equal(fault.detail, "http.listen = 9464: expected HOST:PORT");
}

static void test_ipv6_addresses_stand_in_brackets(void **state)
{
    struct fault fault;
    struct http_listen *other = http_listen_open(loop, "[::1]:0", on_path, &server, &fault);

    (void)state;
    if (!other) {
        /* This machine has no IPv6: then that is what must be said. */
        assert_non_null(strstr(fault.detail, "http.listen = [::1]:0: "));
        return;
    }
    assert_true(http_listen_port(other) > 0);
    http_listen_close(other);
}

#define LISTEN_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LISTEN_TEST(test_a_path_is_answered),
        LISTEN_TEST(test_a_long_answer_arrives_whole),
        LISTEN_TEST(test_head_has_no_body),
        LISTEN_TEST(test_an_unknown_path_is_not_found),
        LISTEN_TEST(test_other_methods_are_not_allowed),
        LISTEN_TEST(test_an_answer_that_could_not_be_made_says_so),
        LISTEN_TEST(test_what_is_no_http_is_refused),
        LISTEN_TEST(test_more_connections_than_allowed_wait_for_their_turn),
        LISTEN_TEST(test_a_busy_port_is_a_clear_fault),
        LISTEN_TEST(test_an_address_that_is_not_ours_is_a_clear_fault),
        LISTEN_TEST(test_ipv6_addresses_stand_in_brackets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
