/*
 * TLS to a private RabbitMQ with certificates made for the occasion: which are trusted, and for which host.
 * Run it by tests/support/with-rabbitmq.
 */
#include "common/broker.h"

#include "support/mq.h"
#include "support/rabbitmq.h"
#include "support/unit.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char tls_dir[] = "/tmp/fulfilld-tls.XXXXXX";

static const char *in_tls_dir(const char *name)
{
    static char path[2][256];
    static int turn;

    turn = !turn;
    snprintf(path[turn], sizeof(path[turn]), "%s/%s", tls_dir, name);
    return path[turn];
}

/* A CA, a certificate for "localhost" and 127.0.0.1 by it, and a CA that knows nothing of them. */
static void make_certificates(void)
{
    static const char script[] =
        "set -e; exec >/dev/null 2>&1; "
        "mk=\"openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes\"\n"
        "$mk -x509 -days 2 -subj /CN=test-ca -keyout ca.key -out ca.pem\n"
        "$mk -x509 -days 2 -subj /CN=other-ca -keyout other.key -out other.pem\n"
        "$mk -subj /CN=broker -keyout server.key -out server.csr\n"
        "echo subjectAltName=DNS:localhost > san\n"
        "openssl x509 -req -days 2 -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile san "
        "-out server.pem\n"
        "chmod 644 *\n";
    char command[2048];

    assert_non_null(mkdtemp(tls_dir));
    assert_int_equal(chmod(tls_dir, 0755), 0);
    snprintf(command, sizeof(command), "cd %s && sh -c '%s'", tls_dir, script);
    assert_int_equal(system(command), 0);
}

static void start_tls_listener(int port)
{
    char expression[800];

    snprintf(expression, sizeof(expression),
             "{ok, _} = application:ensure_all_started(ssl), ok = rabbit_networking:start_ssl_listener("
             "{\"127.0.0.1\", %d}, [{cacertfile, \"%s/ca.pem\"}, {certfile, \"%s/server.pem\"}, "
             "{keyfile, \"%s/server.key\"}], 2).",
             port, tls_dir, tls_dir, tls_dir);
    rabbitmq_eval(expression);
}

static void tls_connects_only_to_the_host_it_was_told_with_a_certificate_it_trusts(void **state)
{
    struct mq *mq = mq_need(state);
    int port = rabbitmq_port() + 4;
    char good[64], wrong_host[64];

    make_certificates();
    start_tls_listener(port);
    snprintf(good, sizeof(good), "amqps://localhost:%d", port);
    snprintf(wrong_host, sizeof(wrong_host), "amqps://127.0.0.1:%d", port);

    mq_open_with(
        mq, &(struct broker_options){.uris = good, .tls_ca_file = in_tls_dir("ca.pem"), .tls_verify = true});
    mq_wait_for(mq, mq_is_up);
    mq_declare(mq, NULL);
    mq_publish_many(mq, 2000);
    mq->ack_at_once = true;
    mq_consume(mq, 100);
    mq_wait_delivered(mq, 2000);
    assert_int_equal(mq->downs[BROKER_CONSUMING] + mq->downs[BROKER_PUBLISHING], 0);
    mq_close(mq);

    mq_open_with(mq, &(struct broker_options){
                         .uris = wrong_host, .tls_ca_file = in_tls_dir("ca.pem"), .tls_verify = true});
    mq_wait_for(mq, mq_is_lost);
    assert_int_equal(mq->down_fault.code, ERR_CONFIG);
    assert_non_null(strstr(mq->down_fault.detail, "certificate"));
    mq_close(mq);

    mq_open_with(mq, &(struct broker_options){
                         .uris = good, .tls_ca_file = in_tls_dir("other.pem"), .tls_verify = true});
    mq_wait_for(mq, mq_is_lost);
    assert_int_equal(mq->down_fault.code, ERR_CONFIG);
    mq_close(mq);

    mq_open_with(mq, &(struct broker_options){.uris = wrong_host, .tls_verify = false});
    mq_wait_for(mq, mq_is_up);
    mq_close(mq);
}

static void a_bad_address_or_ca_file_is_refused_at_once_and_named(void **state)
{
    struct mq *mq = mq_need(state);
    struct broker_options options = {.uris = "amqp://user:secret@host:70000", .consumes = true};
    struct fault fault;

    assert_null(broker_open(mq->loop, &options, &mq_events, mq, &fault));
    assert_int_equal(fault.code, ERR_CONFIG);
    assert_non_null(strstr(fault.detail, "host:70000"));
    assert_null(strstr(fault.detail, "secret"));
    options =
        (struct broker_options){.uris = "amqps://host", .tls_ca_file = "/no/such/ca.pem", .consumes = true};
    assert_null(broker_open(mq->loop, &options, &mq_events, mq, &fault));
    assert_int_equal(fault.code, ERR_CONFIG);
    assert_non_null(strstr(fault.detail, "/no/such/ca.pem"));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, mq_set_up, mq_tear_down)
    const struct CMUnitTest tests[] = {
        CASE(tls_connects_only_to_the_host_it_was_told_with_a_certificate_it_trusts),
        CASE(a_bad_address_or_ca_file_is_refused_at_once_and_named),
    };
    int failed;

    signal(SIGPIPE, SIG_IGN);
    failed = cmocka_run_group_tests_name("broker over TLS", tests, NULL, NULL);
    if (access(tls_dir, F_OK) == 0) {
        char command[64];

        snprintf(command, sizeof(command), "rm -r %s", tls_dir);
        if (system(command) != 0)
            return 1;
    }
    return failed;
}
