/*
 * The broker adapter against a private RabbitMQ, for what no fake can show: real refusals, a broker that
 * stands still, an alarm, streams that arrive in crumbs, thousands of messages. What the fake has in common
 * with it is in contract_broker.c, TLS in test_broker_tls.c. Run it by tests/support/with-rabbitmq.
 */
#include "common/broker.h"

#include "support/dribble.h"
#include "support/mq.h"
#include "support/rabbitmq.h"
#include "support/unit.h"

#include <signal.h>
#include <stdio.h>

/* ---- throughput's correctness ---- */

static void ten_thousand_publications_in_flight_are_all_confirmed(void **state)
{
    struct mq *mq = mq_need(state);

    mq_open(mq);
    mq_declare(mq, NULL);
    mq_publish_many(mq, MQ_MANY);
    assert_int_equal(mq_queue_length(mq), MQ_MANY);
}

static void acks_in_any_order_leave_nothing_behind(void **state)
{
    struct mq *mq = mq_need(state);
    const size_t count = 4000, window = 200;
    size_t acked = 0;
    unsigned chance = 7;

    mq_open(mq);
    mq_declare(mq, NULL);
    mq_publish_many(mq, count);
    mq_consume(mq, (uint16_t)window);
    while (acked < count) {
        size_t batch = count - acked < window ? count - acked : window;

        mq_wait_delivered(mq, acked + batch);
        /* In a shuffled order, and not all in one turn, so that prefix and single acks mix. */
        for (size_t i = 0; i < batch; i++) {
            size_t other = acked + i + (chance = chance * 1103515245U + 12345U) / 65536U % (batch - i);
            struct delivery delivery = mq->deliveries[other];

            mq->deliveries[other] = mq->deliveries[acked + i];
            mq->deliveries[acked + i] = delivery;
            broker_ack(mq->broker, delivery);
            if (i % 7 == 0)
                (void)mq_queue_length(mq);
        }
        acked += batch;
    }
    (void)mq_queue_length(mq); /* lets the last acks leave */
    mq_wait_empty(mq);
    assert_int_equal(mq->downs[BROKER_CONSUMING], 0);
}

static void requeued_messages_come_again_and_are_acked_with_the_rest(void **state)
{
    struct mq *mq = mq_need(state);

    mq_open(mq);
    mq_declare(mq, NULL);
    mq_publish_many(mq, 50);
    mq->requeue_first = true;
    mq->ack_at_once = true;
    mq_consume(mq, 10);
    mq_wait_delivered(mq, 100);
    assert_int_equal(mq->downs[BROKER_CONSUMING], 0);
    assert_int_equal(broker_unsettled(mq->broker), 0);
    (void)mq_queue_length(mq);
    mq_wait_empty(mq);
    assert_int_equal(mq->downs[BROKER_CONSUMING], 0);
}

static void prefetch_is_each_consumers_own(void **state)
{
    struct mq *mq = mq_need(state);
    struct broker_consumer *second;

    mq_open(mq);
    mq_declare(mq, NULL);
    mq_publish_many(mq, 20);
    mq_consume(mq, 3);
    second = broker_consume(mq->broker, mq->queue, 5, MQ_MIB, mq_on_delivery, mq);
    assert_non_null(second);
    mq_wait_delivered(mq, 8);
    assert_int_equal(mq_queue_length(mq), 12);
    assert_int_equal(mq->delivered, 8);
}

static void a_body_of_one_mebibyte_arrives_whole(void **state)
{
    struct mq *mq = mq_need(state);
    char *body = malloc(MQ_MIB);

    for (size_t i = 0; i < MQ_MIB; i++)
        body[i] = (char)(i * 31 + i / 251);
    mq_open(mq);
    mq_declare(mq, NULL);
    mq->wanted = 1;
    mq_publish(mq, 0, body, MQ_MIB, MQ_TIMEOUT_MS);
    mq_wait_for(mq, mq_has_published);
    mq_consume(mq, 10);
    mq_wait_delivered(mq, 1);
    assert_int_equal(mq->last.body_length, MQ_MIB);
    assert_memory_equal(mq->last.body, body, MQ_MIB);
    free(body);
}

static void a_stream_in_crumbs_is_read_and_written_alike(void **state)
{
    struct mq *mq = mq_need(state);
    struct dribble dribble;
    char *body = malloc(300000);

    memset(body, 'y', 300000);
    dribble_start(&dribble, rabbitmq_port());
    snprintf(mq->uri, sizeof(mq->uri), "amqp://127.0.0.1:%d", dribble.port);
    mq_open(mq);
    mq_declare(mq, NULL);
    mq_publish_many(mq, 30);
    mq->wanted = 31;
    mq_publish(mq, 0, body, 300000, MQ_TIMEOUT_MS);
    mq_wait_for(mq, mq_has_published);
    mq->ack_at_once = true;
    mq_consume(mq, 10);
    mq_wait_delivered(mq, 31);
    assert_int_equal(mq->last.body_length, 300000);
    assert_memory_equal(mq->last.body, body, 300000);
    assert_int_equal(mq->downs[BROKER_CONSUMING] + mq->downs[BROKER_PUBLISHING], 0);
    free(body);
    mq_close(mq);
    dribble_stop(&dribble);
}

/* ---- refusals ---- */

static void a_wrong_password_is_a_configuration_fault_without_the_password(void **state)
{
    struct mq *mq = mq_need(state);

    mq_open_with(mq, &(struct broker_options){.username = "guest", .password = "not-this-one"});
    mq_wait_for(mq, mq_is_lost);
    assert_int_equal(mq->down_fault.code, ERR_CONFIG);
    assert_non_null(strstr(mq->down_fault.detail, "ACCESS_REFUSED"));
    assert_null(strstr(mq->down_fault.detail, "not-this-one"));
}

static void a_wrong_vhost_is_a_configuration_fault_that_names_it(void **state)
{
    struct mq *mq = mq_need(state);
    char uri[128];

    snprintf(uri, sizeof(uri), "amqp://127.0.0.1:%d/no-such-vhost", rabbitmq_port());
    mq_open_with(mq, &(struct broker_options){.uris = uri});
    mq_wait_for(mq, mq_is_lost);
    assert_int_equal(mq->down_fault.code, ERR_CONFIG);
    assert_non_null(strstr(mq->down_fault.detail, "no-such-vhost"));
}

static void other_arguments_than_the_queue_has_are_refused_with_the_brokers_words(void **state)
{
    struct mq *mq = mq_need(state);

    mq_open(mq);
    mq_declare(mq, NULL);
    mq_declare(mq, "x-max-length");
    assert_int_equal(mq->declare_fault.code, ERR_CONFIG);
    assert_non_null(strstr(mq->declare_fault.detail, "406"));
    assert_non_null(strstr(mq->declare_fault.detail, "x-max-length"));
    mq_declare(mq, NULL);
    assert_int_equal(mq->declare_fault.code, OK);
    assert_int_equal(mq->downs[BROKER_PUBLISHING], 0);
}

static void the_next_address_is_tried_when_the_first_refuses(void **state)
{
    struct mq *mq = mq_need(state);
    char uris[300];

    snprintf(uris, sizeof(uris), "amqp://127.0.0.1:1, %s", mq->uri);
    mq_open_with(mq, &(struct broker_options){.uris = uris});
    mq_wait_for(mq, mq_is_up);
    assert_int_equal(mq->downs[BROKER_CONSUMING] + mq->downs[BROKER_PUBLISHING], 0);
}

static void without_a_broker_publications_end_and_the_outage_is_told_once(void **state)
{
    struct mq *mq = mq_need(state);

    mq_open_with(mq, &(struct broker_options){.uris = "amqp://127.0.0.1:1"});
    mq->wanted = 1;
    mq_publish(mq, 0, "x", 1, MQ_TIMEOUT_MS);
    mq_wait_for(mq, mq_has_published);
    assert_int_equal(mq->by_code[ERR_NETWORK], 1);
    mq_wait_for(mq, mq_is_lost);
    assert_int_equal(mq->down_fault.code, ERR_NETWORK);
    assert_non_null(strstr(mq->down_fault.detail, "127.0.0.1:1"));
}

/* ---- trouble while running ---- */

static void a_consumer_outlives_its_queue(void **state)
{
    struct mq *mq = mq_need(state);
    char words[128];

    mq_open(mq);
    mq_declare(mq, NULL);
    mq_consume(mq, 10);
    mq_wait_for(mq, mq_is_active);
    snprintf(words, sizeof(words), "delete_queue %s", mq->queue);
    rabbitmq_ctl(words);
    mq_wait_for(mq, mq_is_inactive);
    mq_declare(mq, NULL);
    mq_wait_for(mq, mq_is_active);
    mq_publish_many(mq, 1);
    mq_wait_delivered(mq, 1);
    assert_int_equal(mq->downs[BROKER_CONSUMING], 0); /* nobody else's deliveries were lost */
}

static void a_closed_connection_comes_back_and_old_deliveries_are_void(void **state)
{
    struct mq *mq = mq_need(state);
    struct delivery old;

    mq_open(mq);
    mq_declare(mq, NULL);
    mq_publish_many(mq, 1);
    mq_consume(mq, 10);
    mq_wait_delivered(mq, 1);
    old = mq->deliveries[0];
    rabbitmq_ctl("close_all_connections for-a-test");
    mq_wait_for(mq, mq_is_lost);
    assert_non_null(strstr(mq->down_fault.detail, "for-a-test"));
    mq_wait_for(mq, mq_is_up);
    mq_wait_delivered(mq, 2);
    assert_false(broker_delivery_valid(mq->broker, old));
    assert_true(broker_delivery_valid(mq->broker, mq->deliveries[1]));
    assert_true(mq->deliveries[1].epoch > old.epoch);
}

static void a_broker_that_stands_still_is_noticed_and_found_again(void **state)
{
    struct mq *mq = mq_need(state);

    mq_open_with(mq, &(struct broker_options){.heartbeat_s = 2});
    mq_wait_for(mq, mq_is_up);
    mq_declare(mq, NULL);
    mq_publish_many(mq, 1);
    mq_consume(mq, 10);
    mq_wait_delivered(mq, 1);
    assert_int_equal(kill(rabbitmq_pid(), SIGSTOP), 0);
    mq->wanted = 2;
    mq_publish(mq, 0, "x", 1, MQ_TIMEOUT_MS);
    mq_wait_for(mq, mq_is_lost);
    mq_wait_for(mq, mq_has_published);
    assert_int_equal(kill(rabbitmq_pid(), SIGCONT), 0);
    assert_non_null(strstr(mq->down_fault.detail, "no sign of life"));
    assert_int_equal(mq->by_code[ERR_NETWORK], 1);
    mq_wait_for(mq, mq_is_up);
    mq_wait_delivered(mq, 2); /* the first again; the second may have arrived after all */
}

static void an_alarm_blocks_publications_and_not_acks(void **state)
{
    struct mq *mq = mq_need(state);

    mq_open(mq);
    mq_declare(mq, NULL);
    mq_publish_many(mq, 20);
    rabbitmq_ctl("set_vm_memory_high_watermark 0.0000001");
    mq->wanted = 21;
    mq_publish(mq, 0, "x", 1, 500);
    mq_wait_for(mq, mq_is_blocked);
    assert_true(broker_blocked(mq->broker));
    mq_wait_for(mq, mq_has_published);
    assert_int_equal(mq->by_code[ERR_TIMEOUT], 1);
    mq->ack_at_once = true;
    mq_consume(mq, 5);
    mq_wait_delivered(mq, 20); /* with a prefetch of 5 only when acks get through */
    rabbitmq_ctl("set_vm_memory_high_watermark 0.4");
    mq_wait_for(mq, mq_is_unblocked);
    mq->wanted = 22;
    mq_publish(mq, 0, "x", 1, MQ_TIMEOUT_MS);
    mq_wait_for(mq, mq_has_published);
    assert_int_equal(mq->by_code[OK], 21);
    assert_int_equal(mq->blocked_count, 1);
    assert_int_equal(mq->downs[BROKER_PUBLISHING], 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, mq_set_up, mq_tear_down)
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
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("broker on RabbitMQ", tests, NULL, NULL);
}
