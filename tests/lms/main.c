/*
 * fulfill-lms: a stand-in for the Enrollment and Entitlement APIs of an LMS. Reads the options,
 * listens, says so on standard output, serves until SIGTERM or SIGINT.
 */
#include "conn.h"
#include "lms.h"
#include "options.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <uv.h>

enum { BACKLOG = 1024 };

static void on_connection(uv_stream_t *listener, int status)
{
    if (status == 0)
        conn_accept(listener->data, listener);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    uv_stop(handle->loop);
}

static int fail(const char *what, int code)
{
    fprintf(stderr, "fulfill-lms: %s: %s\n", what, uv_strerror(code));
    return 1;
}

static int bound_port(const uv_tcp_t *listener)
{
    struct sockaddr_in address = {0};
    int len = sizeof(address);

    if (uv_tcp_getsockname(listener, (struct sockaddr *)&address, &len) != 0)
        return 0;
    return ntohs(address.sin_port);
}

static int serve(struct lms *lms, uv_loop_t *loop)
{
    uv_tcp_t listener;
    uv_signal_t term, interrupt;
    struct sockaddr_in address;
    int rc;

    rc = uv_ip4_addr(lms->options.host, lms->options.port, &address);
    if (rc != 0)
        return fail(lms->options.host, rc);
    rc = uv_tcp_init(loop, &listener);
    if (rc != 0)
        return fail("cannot make a socket", rc);
    listener.data = lms;
    rc = uv_tcp_bind(&listener, (const struct sockaddr *)&address, 0);
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&listener, BACKLOG, on_connection);
    if (rc != 0)
        return fail("cannot listen", rc);
    if ((rc = uv_signal_init(loop, &term)) != 0 || (rc = uv_signal_init(loop, &interrupt)) != 0 ||
        (rc = uv_signal_start(&term, on_signal, SIGTERM)) != 0 ||
        (rc = uv_signal_start(&interrupt, on_signal, SIGINT)) != 0)
        return fail("cannot watch signals", rc);
    printf("listening on %s:%d\n", lms->options.host, bound_port(&listener));
    (void)fflush(stdout);
    (void)uv_run(loop, UV_RUN_DEFAULT);
    return 0;
}

int main(int argc, char **argv)
{
    struct options options;
    struct lms lms;
    int rc = options_read(argc, argv, &options);

    if (rc >= 0)
        return rc;
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return fail("cannot ignore SIGPIPE", uv_translate_sys_error(1));
    rc = 2;
    if (lms_init(&lms, &options))
        rc = serve(&lms, uv_default_loop());
    /* connections still open go with the process; what they point to goes first */
    lms_fini(&lms);
    return rc;
}
