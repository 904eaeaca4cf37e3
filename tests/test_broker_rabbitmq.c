/*
 * The broker adapter against a private RabbitMQ, for what no fake can show: real refusals, a broker that stands
 * still, an alarm, TLS, streams that arrive in crumbs, thousands of messages. What the fake has in common with
 * it is in contract_broker.c. Run it by tests/support/with-rabbitmq.
 */
#include "common/broker.h"

#include "support/dribble.h"
#include "support/rabbitmq.h"
#include "support/run_until.h"
#include "support/unit.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LIMIT_MS = 60000, TIMEOUT_MS = 30000, MANY = 10000, MIB = 1024 * 1024 };

struct fixture {
    struct loop *loop;
    struct broker *broker;
    char queue[64], uri[256];
    bool up[2];
    int ups[2], downs[2];
    struct fault down_fault;
    bool blocked;
    int blocked_count;
    struct broker_declare_op declare;
    struct fault declare_fault;
    bool declared;
    struct publish_op *ops;
    size_t published, by_code[32];
    size_t wanted;
    struct broker_consumer *consumer;
    size_t delivered;
    struct delivery *deliveries;
    struct message last;
    bool ack_at_once;
    bool requeue_first; /* requeue a delivery that was not delivered before */
};

static struct fixture *current;

/* ---- what the broker tells ---- */

static void on_link(void *context, enum broker_link link, bool up, const struct fault *fault)
{
    struct fixture *fixture = context;

    fixture->up[link] = up;
    fixture->ups[link] += up;
    fixture->downs[link] += !up;
    if (!up)
        fixture->down_fault = *fault;
}

static void on_blocked(void *context, bool blocked, const char *reason)
{
    struct fixture *fixture = context;

    assert_non_null(reason);
    fixture->blocked = blocked;
    fixture->blocked_count += blocked;
}

static void on_declared(struct broker_declare_op *op, const struct fault *fault)
{
    struct fixture *fixture = container_of(op, struct fixture, declare);

    fixture->declare_fault = *fault;
    fixture->declared = true;
}

static void on_published(struct publish_op *op, const struct fault *fault)
{
    (void)op;
    current->published++;
    current->by_code[fault->code]++;
}

static void on_delivery(void *context, struct delivery delivery, struct message *take_message)
{
    struct fixture *fixture = context;

    assert_true(fixture->delivered < MANY);
    fixture->deliveries[fixture->delivered++] = delivery;
    message_fini(&fixture->last);
    fixture->last = *take_message;
    if (fixture->requeue_first && !take_message->redelivered)
        broker_requeue(fixture->broker, delivery);
    else if (fixture->ack_at_once)
        broker_ack(fixture->broker, delivery);
}

/* ---- conditions ---- */

static bool links_up(void *context)
{
    struct fixture *fixture = context;

    return fixture->up[0] && fixture->up[1];
}

static bool both_lost(void *context)
{
    struct fixture *fixture = context;

    return fixture->downs[0] > 0 && fixture->downs[1] > 0;
}

static bool is_declared(void *context)
{
    return ((struct fixture *)context)->declared;
}

static bool has_published(void *context)
{
    struct fixture *fixture = context;

    return fixture->published >= fixture->wanted;
}

static bool has_delivered(void *context)
{
    struct fixture *fixture = context;

    return fixture->delivered >= fixture->wanted;
}

static bool is_blocked(void *context)
{
    return ((struct fixture *)context)->blocked;
}

static bool is_unblocked(void *context)
{
    return !((struct fixture *)context)->blocked;
}

static bool is_active(void *context)
{
    return broker_consumer_active(((struct fixture *)context)->consumer);
}

static bool is_inactive(void *context)
{
    return !is_active(context);
}

static void wait_for(struct fixture *fixture, run_until_fn *condition)
{
    assert_true(run_until(fixture->loop, condition, fixture, LIMIT_MS));
}

/* ---- steps ---- */

static struct broker *open_with(struct fixture *fixture, const struct broker_options *changes)
{
    struct broker_options options = *changes;
    const struct broker_events events = {on_link, on_blocked};
    struct fault fault;

    if (!options.uris)
        options.uris = fixture->uri;
    if (options.heartbeat_s == 0)
        options.heartbeat_s = 10;
    options.connection_name = "test";
    options.consumes = true;
    options.publishes = true;
    options.max_output_bytes = 64 * MIB;
    fixture->broker = broker_open(fixture->loop, &options, &events, fixture, &fault);
    assert_non_null(fixture->broker);
    return fixture->broker;
}

static void open_up(struct fixture *fixture)
{
    open_with(fixture, &(struct broker_options){0});
    wait_for(fixture, links_up);
}

static void declare(struct fixture *fixture, const char *extra_argument)
{
    struct headers *arguments = headers_new();

    assert_int_equal(headers_set_str(arguments, "x-queue-type", "quorum"), OK);
    if (extra_argument)
        assert_int_equal(headers_set_int(arguments, extra_argument, 5), OK);
    fixture->declared = false;
    broker_declare_queue(fixture->broker, &fixture->declare, fixture->queue, arguments, false, on_declared);
    headers_free(arguments);
    wait_for(fixture, is_declared);
}

static size_t queue_length(struct fixture *fixture)
{
    fixture->declared = false;
    broker_declare_queue(fixture->broker, &fixture->declare, fixture->queue, NULL, true, on_declared);
    wait_for(fixture, is_declared);
    assert_int_equal(fixture->declare_fault.code, OK);
    return fixture->declare.message_count;
}

static void publish(struct fixture *fixture, size_t slot, const char *body, size_t length, int64_t timeout_ms)
{
    const struct publication publication = {.exchange = "", .routing_key = fixture->queue, .message_id = "id",
                                            .body = body, .body_length = length};

    broker_publish(fixture->broker, &fixture->ops[slot], &publication, timeout_ms, on_published);
}

static void publish_many(struct fixture *fixture, size_t count)
{
    fixture->wanted = fixture->published + count;
    for (size_t i = 0; i < count; i++)
        publish(fixture, i, "x", 1, TIMEOUT_MS);
    wait_for(fixture, has_published);
    assert_int_equal(fixture->by_code[OK], fixture->published);
}

/* Until the broker holds nothing of the queue, unacked ones included. AMQP does not show those. */
static void wait_empty(struct fixture *fixture)
{
    char expression[512];

    snprintf(expression, sizeof(expression),
             "{ok, Q} = rabbit_amqqueue:lookup({resource, <<\"/\">>, queue, <<\"%s\">>}), "
             "F = fun F(0) -> error(timeout); F(N) -> case rabbit_amqqueue:info(Q, [messages]) of "
             "[{messages, 0}] -> ok; _ -> timer:sleep(100), F(N - 1) end end, F(200).",
             fixture->queue);
    rabbitmq_eval(expression);
}

static void consume(struct fixture *fixture, uint16_t prefetch)
{
    fixture->consumer = broker_consume(fixture->broker, fixture->queue, prefetch, 2 * MIB, on_delivery, fixture);
    assert_non_null(fixture->consumer);
}

static void wait_delivered(struct fixture *fixture, size_t count)
{
    fixture->wanted = count;
    wait_for(fixture, has_delivered);
}

static void close_broker(struct fixture *fixture)
{
    broker_close(fixture->broker);
    fixture->broker = NULL;
    loop_run(fixture->loop);
    memset(fixture->up, 0, sizeof(fixture->up));
    memset(fixture->ups, 0, sizeof(fixture->ups));
    memset(fixture->downs, 0, sizeof(fixture->downs));
}

static int set_up(void **state)
{
    static int number;
    struct fixture *fixture;

    if (!rabbitmq_available())
        return 0;
    fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    fixture->ops = calloc(MANY, sizeof(*fixture->ops));
    fixture->deliveries = calloc(MANY, sizeof(*fixture->deliveries));
    assert_true(fixture->ops && fixture->deliveries);
    snprintf(fixture->queue, sizeof(fixture->queue), "real.%d.%d", (int)getpid(), ++number);
    snprintf(fixture->uri, sizeof(fixture->uri), "amqp://guest:guest@127.0.0.1:%d/%%2F", rabbitmq_port());
    fixture->loop = loop_new();
    assert_non_null(fixture->loop);
    current = fixture;
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    if (!fixture)
        return 0;
    broker_close(fixture->broker);
    loop_run(fixture->loop);
    loop_free(fixture->loop);
    message_fini(&fixture->last);
    free(fixture->ops);
    free(fixture->deliveries);
    free(fixture);
    return 0;
}

static struct fixture *need(void **state)
{
    if (!*state)
        skip();
    return *state;
}

/* ---- throughput's correctness ---- */

static void ten_thousand_publications_in_flight_are_all_confirmed(void **state)
{
    struct fixture *fixture = need(state);

    open_up(fixture);
    declare(fixture, NULL);
    publish_many(fixture, MANY);
    assert_int_equal(queue_length(fixture), MANY);
}

static void acks_in_any_order_leave_nothing_behind(void **state)
{
    struct fixture *fixture = need(state);
    const size_t count = 4000, window = 200;
    size_t acked = 0;
    unsigned chance = 7;

    open_up(fixture);
    declare(fixture, NULL);
    publish_many(fixture, count);
    consume(fixture, (uint16_t)window);
    while (acked < count) {
        size_t batch = count - acked < window ? count - acked : window;

        wait_delivered(fixture, acked + batch);
        /* In a shuffled order, and not all in one turn, so that prefix and single acks mix. */
        for (size_t i = 0; i < batch; i++) {
            size_t other = acked + i + (chance = chance * 1103515245U + 12345U) / 65536U % (batch - i);
            struct delivery delivery = fixture->deliveries[other];

            fixture->deliveries[other] = fixture->deliveries[acked + i];
            fixture->deliveries[acked + i] = delivery;
            broker_ack(fixture->broker, delivery);
            if (i % 7 == 0)
                (void)queue_length(fixture);
        }
        acked += batch;
    }
    (void)queue_length(fixture); /* lets the last acks leave */
    wait_empty(fixture);
    assert_int_equal(fixture->downs[BROKER_CONSUMING], 0);
}

static void requeued_messages_come_again_and_are_acked_with_the_rest(void **state)
{
    struct fixture *fixture = need(state);

    open_up(fixture);
    declare(fixture, NULL);
    publish_many(fixture, 50);
    fixture->requeue_first = true;
    fixture->ack_at_once = true;
    consume(fixture, 10);
    wait_delivered(fixture, 100);
    assert_int_equal(fixture->downs[BROKER_CONSUMING], 0);
    assert_int_equal(broker_unsettled(fixture->broker), 0);
    (void)queue_length(fixture);
    wait_empty(fixture);
    assert_int_equal(fixture->downs[BROKER_CONSUMING], 0);
}

static void prefetch_is_each_consumers_own(void **state)
{
    struct fixture *fixture = need(state);
    struct broker_consumer *second;

    open_up(fixture);
    declare(fixture, NULL);
    publish_many(fixture, 20);
    consume(fixture, 3);
    second = broker_consume(fixture->broker, fixture->queue, 5, MIB, on_delivery, fixture);
    assert_non_null(second);
    wait_delivered(fixture, 8);
    assert_int_equal(queue_length(fixture), 12);
    assert_int_equal(fixture->delivered, 8);
}

static void a_body_of_one_mebibyte_arrives_whole(void **state)
{
    struct fixture *fixture = need(state);
    char *body = malloc(MIB);

    for (size_t i = 0; i < MIB; i++)
        body[i] = (char)(i * 31 + i / 251);
    open_up(fixture);
    declare(fixture, NULL);
    fixture->wanted = 1;
    publish(fixture, 0, body, MIB, TIMEOUT_MS);
    wait_for(fixture, has_published);
    consume(fixture, 10);
    wait_delivered(fixture, 1);
    assert_int_equal(fixture->last.body_length, MIB);
    assert_memory_equal(fixture->last.body, body, MIB);
    free(body);
}

static void a_stream_in_crumbs_is_read_and_written_alike(void **state)
{
    struct fixture *fixture = need(state);
    struct dribble dribble;
    char *body = malloc(300000);

    memset(body, 'y', 300000);
    dribble_start(&dribble, rabbitmq_port());
    snprintf(fixture->uri, sizeof(fixture->uri), "amqp://127.0.0.1:%d", dribble.port);
    open_up(fixture);
    declare(fixture, NULL);
    publish_many(fixture, 30);
    fixture->wanted = 31;
    publish(fixture, 0, body, 300000, TIMEOUT_MS);
    wait_for(fixture, has_published);
    fixture->ack_at_once = true;
    consume(fixture, 10);
    wait_delivered(fixture, 31);
    assert_int_equal(fixture->last.body_length, 300000);
    assert_memory_equal(fixture->last.body, body, 300000);
    assert_int_equal(fixture->downs[BROKER_CONSUMING] + fixture->downs[BROKER_PUBLISHING], 0);
    free(body);
    close_broker(fixture);
    dribble_stop(&dribble);
}

/* ---- refusals ---- */

static void a_wrong_password_is_a_configuration_fault_without_the_password(void **state)
{
    struct fixture *fixture = need(state);

    open_with(fixture, &(struct broker_options){.username = "guest", .password = "not-this-one"});
    wait_for(fixture, both_lost);
    assert_int_equal(fixture->down_fault.code, ERR_CONFIG);
    assert_non_null(strstr(fixture->down_fault.detail, "ACCESS_REFUSED"));
    assert_null(strstr(fixture->down_fault.detail, "not-this-one"));
}

static void a_wrong_vhost_is_a_configuration_fault_that_names_it(void **state)
{
    struct fixture *fixture = need(state);
    char uri[128];

    snprintf(uri, sizeof(uri), "amqp://127.0.0.1:%d/no-such-vhost", rabbitmq_port());
    open_with(fixture, &(struct broker_options){.uris = uri});
    wait_for(fixture, both_lost);
    assert_int_equal(fixture->down_fault.code, ERR_CONFIG);
    assert_non_null(strstr(fixture->down_fault.detail, "no-such-vhost"));
}

static void other_arguments_than_the_queue_has_are_refused_with_the_brokers_words(void **state)
{
    struct fixture *fixture = need(state);

    open_up(fixture);
    declare(fixture, NULL);
    declare(fixture, "x-max-length");
    assert_int_equal(fixture->declare_fault.code, ERR_CONFIG);
    assert_non_null(strstr(fixture->declare_fault.detail, "406"));
    assert_non_null(strstr(fixture->declare_fault.detail, "x-max-length"));
    declare(fixture, NULL);
    assert_int_equal(fixture->declare_fault.code, OK);
    assert_int_equal(fixture->downs[BROKER_PUBLISHING], 0);
}

static void the_next_address_is_tried_when_the_first_refuses(void **state)
{
    struct fixture *fixture = need(state);
    char uris[300];

    snprintf(uris, sizeof(uris), "amqp://127.0.0.1:1, %s", fixture->uri);
    open_with(fixture, &(struct broker_options){.uris = uris});
    wait_for(fixture, links_up);
    assert_int_equal(fixture->downs[BROKER_CONSUMING] + fixture->downs[BROKER_PUBLISHING], 0);
}

static void without_a_broker_publications_end_and_the_outage_is_told_once(void **state)
{
    struct fixture *fixture = need(state);

    open_with(fixture, &(struct broker_options){.uris = "amqp://127.0.0.1:1"});
    fixture->wanted = 1;
    publish(fixture, 0, "x", 1, TIMEOUT_MS);
    wait_for(fixture, has_published);
    assert_int_equal(fixture->by_code[ERR_NETWORK], 1);
    wait_for(fixture, both_lost);
    assert_int_equal(fixture->down_fault.code, ERR_NETWORK);
    assert_non_null(strstr(fixture->down_fault.detail, "127.0.0.1:1"));
}

/* ---- trouble while running ---- */

static void a_consumer_outlives_its_queue(void **state)
{
    struct fixture *fixture = need(state);
    char words[128];

    open_up(fixture);
    declare(fixture, NULL);
    consume(fixture, 10);
    wait_for(fixture, is_active);
    snprintf(words, sizeof(words), "delete_queue %s", fixture->queue);
    rabbitmq_ctl(words);
    wait_for(fixture, is_inactive);
    declare(fixture, NULL);
    wait_for(fixture, is_active);
    publish_many(fixture, 1);
    wait_delivered(fixture, 1);
    assert_int_equal(fixture->downs[BROKER_CONSUMING], 0); /* nobody else's deliveries were lost */
}

static void a_closed_connection_comes_back_and_old_deliveries_are_void(void **state)
{
    struct fixture *fixture = need(state);
    struct delivery old;

    open_up(fixture);
    declare(fixture, NULL);
    publish_many(fixture, 1);
    consume(fixture, 10);
    wait_delivered(fixture, 1);
    old = fixture->deliveries[0];
    rabbitmq_ctl("close_all_connections for-a-test");
    wait_for(fixture, both_lost);
    assert_non_null(strstr(fixture->down_fault.detail, "for-a-test"));
    wait_for(fixture, links_up);
    wait_delivered(fixture, 2);
    assert_false(broker_delivery_valid(fixture->broker, old));
    assert_true(broker_delivery_valid(fixture->broker, fixture->deliveries[1]));
    assert_true(fixture->deliveries[1].epoch > old.epoch);
}

static void a_broker_that_stands_still_is_noticed_and_found_again(void **state)
{
    struct fixture *fixture = need(state);

    open_with(fixture, &(struct broker_options){.heartbeat_s = 2});
    wait_for(fixture, links_up);
    declare(fixture, NULL);
    publish_many(fixture, 1);
    consume(fixture, 10);
    wait_delivered(fixture, 1);
    assert_int_equal(kill(rabbitmq_pid(), SIGSTOP), 0);
    fixture->wanted = 2;
    publish(fixture, 0, "x", 1, TIMEOUT_MS);
    wait_for(fixture, both_lost);
    wait_for(fixture, has_published);
    assert_int_equal(kill(rabbitmq_pid(), SIGCONT), 0);
    assert_non_null(strstr(fixture->down_fault.detail, "no sign of life"));
    assert_int_equal(fixture->by_code[ERR_NETWORK], 1);
    wait_for(fixture, links_up);
    wait_delivered(fixture, 2); /* the first again; the second may have arrived after all */
}

static void an_alarm_blocks_publications_and_not_acks(void **state)
{
    struct fixture *fixture = need(state);

    open_up(fixture);
    declare(fixture, NULL);
    publish_many(fixture, 20);
    rabbitmq_ctl("set_vm_memory_high_watermark 0.0000001");
    fixture->wanted = 21;
    publish(fixture, 0, "x", 1, 500);
    wait_for(fixture, is_blocked);
    assert_true(broker_blocked(fixture->broker));
    wait_for(fixture, has_published);
    assert_int_equal(fixture->by_code[ERR_TIMEOUT], 1);
    fixture->ack_at_once = true;
    consume(fixture, 5);
    wait_delivered(fixture, 20); /* with a prefetch of 5 only when acks get through */
    rabbitmq_ctl("set_vm_memory_high_watermark 0.4");
    wait_for(fixture, is_unblocked);
    fixture->wanted = 22;
    publish(fixture, 0, "x", 1, TIMEOUT_MS);
    wait_for(fixture, has_published);
    assert_int_equal(fixture->by_code[OK], 21);
    assert_int_equal(fixture->blocked_count, 1);
    assert_int_equal(fixture->downs[BROKER_PUBLISHING], 0);
}

/* ---- TLS ---- */

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
    struct fixture *fixture = need(state);
    int port = rabbitmq_port() + 4;
    char good[64], wrong_host[64];

    make_certificates();
    start_tls_listener(port);
    snprintf(good, sizeof(good), "amqps://localhost:%d", port);
    snprintf(wrong_host, sizeof(wrong_host), "amqps://127.0.0.1:%d", port);

    open_with(fixture, &(struct broker_options){
                           .uris = good, .tls_ca_file = in_tls_dir("ca.pem"), .tls_verify = true});
    wait_for(fixture, links_up);
    declare(fixture, NULL);
    publish_many(fixture, 2000);
    fixture->ack_at_once = true;
    consume(fixture, 100);
    wait_delivered(fixture, 2000);
    assert_int_equal(fixture->downs[BROKER_CONSUMING] + fixture->downs[BROKER_PUBLISHING], 0);
    close_broker(fixture);

    open_with(fixture, &(struct broker_options){
                           .uris = wrong_host, .tls_ca_file = in_tls_dir("ca.pem"), .tls_verify = true});
    wait_for(fixture, both_lost);
    assert_int_equal(fixture->down_fault.code, ERR_CONFIG);
    assert_non_null(strstr(fixture->down_fault.detail, "certificate"));
    close_broker(fixture);

    open_with(fixture, &(struct broker_options){
                           .uris = good, .tls_ca_file = in_tls_dir("other.pem"), .tls_verify = true});
    wait_for(fixture, both_lost);
    assert_int_equal(fixture->down_fault.code, ERR_CONFIG);
    close_broker(fixture);

    open_with(fixture, &(struct broker_options){.uris = wrong_host, .tls_verify = false});
    wait_for(fixture, links_up);
    close_broker(fixture);
}

static void a_bad_address_or_ca_file_is_refused_at_once_and_named(void **state)
{
    struct fixture *fixture = need(state);
    const struct broker_events events = {on_link, on_blocked};
    struct broker_options options = {.uris = "amqp://user:secret@host:70000", .consumes = true};
    struct fault fault;

    assert_null(broker_open(fixture->loop, &options, &events, fixture, &fault));
    assert_int_equal(fault.code, ERR_CONFIG);
    assert_non_null(strstr(fault.detail, "host:70000"));
    assert_null(strstr(fault.detail, "secret"));
    options = (struct broker_options){.uris = "amqps://host", .tls_ca_file = "/no/such/ca.pem", .consumes = true};
    assert_null(broker_open(fixture->loop, &options, &events, fixture, &fault));
    assert_int_equal(fault.code, ERR_CONFIG);
    assert_non_null(strstr(fault.detail, "/no/such/ca.pem"));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(ten_thousand_publications_in_flight_are_all_confirmed),
        CASE(acks_in_any_order_leave_nothing_behind),
        CASE(requeued_messages_come_again_and_are_acked_with_the_rest),
        CASE(prefetch_is_each_consumers_own),
        CASE(a_body_of_one_mebibyte_arrives_whole),
        CASE(a_stream_in_crumbs_is_read_and_written_alike),
        CASE(a_wrong_password_is_a_configuration_fault_without_the_password),
        CASE(a_wrong_vhost_is_a_configuration_fault_that_names_it),
        CASE(other_arguments_than_the_queue_has_are_refused_with_the_brokers_words),
        CASE(the_next_address_is_tried_when_the_first_refuses),
        CASE(without_a_broker_publications_end_and_the_outage_is_told_once),
        CASE(a_consumer_outlives_its_queue),
        CASE(a_closed_connection_comes_back_and_old_deliveries_are_void),
        CASE(a_broker_that_stands_still_is_noticed_and_found_again),
        CASE(an_alarm_blocks_publications_and_not_acks),
        CASE(tls_connects_only_to_the_host_it_was_told_with_a_certificate_it_trusts),
        CASE(a_bad_address_or_ca_file_is_refused_at_once_and_named),
    };
    int failed;

    signal(SIGPIPE, SIG_IGN);
    failed = cmocka_run_group_tests_name("broker on RabbitMQ", tests, NULL, NULL);
    if (access(tls_dir, F_OK) == 0) {
        char command[64];

        snprintf(command, sizeof(command), "rm -r %s", tls_dir);
        if (system(command) != 0)
            return 1;
    }
    return failed;
}
