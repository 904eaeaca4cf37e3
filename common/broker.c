/*
 * Opens and closes a broker's two links, hands what arrives on each to the file whose business it is, and
 * tells the ends of operations at a time when nothing of ours is on the stack. What is consumed, settled,
 * published and declared is in broker_consumer.c, broker_settle.c, broker_publish.c and broker_declare.c;
 * connections are broker_wire.c's. Called by the worker, the master and the operators' commands.
 */
#include "common/broker.h"

#include "common/broker_private.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <string.h>

void message_fini(struct message *message)
{
    free(message->exchange);
    free(message->routing_key);
    free(message->message_id);
    free(message->content_type);
    free(message->carried);
    free(message->body);
    headers_free(message->headers);
    *message = (struct message){0};
}

/* ---- telling the ends of operations ---- */

#define APPEND(broker, list, op)                                                                             \
    do {                                                                                                     \
        (op)->next = NULL;                                                                                   \
        if ((broker)->list##_last)                                                                           \
            (broker)->list##_last->next = (op);                                                              \
        else                                                                                                 \
            (broker)->list##_first = (op);                                                                   \
        (broker)->list##_last = (op);                                                                        \
        loop_task_start(&(broker)->tell_task);                                                               \
    } while (0)

void broker_finish_publish(struct broker *broker, struct publish_op *op, const struct fault *fault)
{
    op->fault = *fault;
    APPEND(broker, published, op);
}

void broker_finish_declare(struct broker *broker, struct broker_declare_op *op, const struct fault *fault)
{
    op->fault = *fault;
    APPEND(broker, declared, op);
}

void broker_finish_get(struct broker *broker, struct broker_get_op *op, const struct fault *fault)
{
    op->fault = *fault;
    APPEND(broker, got, op);
}

/* The faults are copied out first: an op is its owner's again as soon as its done runs. */
static void tell_published(struct broker *broker)
{
    while (broker->published_first) {
        struct publish_op *op = broker->published_first;
        const struct fault fault = op->fault;

        broker->published_first = op->next;
        if (!op->next)
            broker->published_last = NULL;
        op->in_flight = false;
        op->done(op, &fault);
    }
}

static void tell_declared(struct broker *broker)
{
    while (broker->declared_first) {
        struct broker_declare_op *op = broker->declared_first;
        const struct fault fault = op->fault;

        broker->declared_first = op->next;
        if (!op->next)
            broker->declared_last = NULL;
        op->done(op, &fault);
    }
}

static void tell_got(struct broker *broker)
{
    while (broker->got_first) {
        struct broker_get_op *op = broker->got_first;
        const struct fault fault = op->fault;

        broker->got_first = op->next;
        if (!op->next)
            broker->got_last = NULL;
        op->done(op, (struct delivery){0}, NULL, &fault);
    }
}

static void free_broker(struct broker *broker)
{
    for (size_t i = 0; i < BROKER_LINKS; i++)
        broker_wire_free(broker->links[i].wire);
    broker_acks_fini(&broker->acks);
    broker_confirms_fini(&broker->confirms);
    broker_tls_free(broker->tls);
    broker_uri_list_free(broker->uris, broker->uri_count);
    free(broker->username);
    free(broker->password);
    free(broker->connection_name);
    free(broker);
}

static void on_tell_task(struct loop_task *task)
{
    struct broker *broker = container_of(task, struct broker, tell_task);

    tell_published(broker);
    tell_declared(broker);
    tell_got(broker);
    if (broker->closing && !broker->links[BROKER_CONSUMING].wire && !broker->links[BROKER_PUBLISHING].wire) {
        loop_task_cancel(&broker->tell_task);
        free_broker(broker);
    }
}

/* ---- what the links say ---- */

struct broker_link_end *broker_declaring_link(struct broker *broker)
{
    return &broker->links[broker->links[BROKER_PUBLISHING].wire ? BROKER_PUBLISHING : BROKER_CONSUMING];
}

void broker_link_confused(struct broker_link_end *end, const char *what)
{
    struct fault fault = fault_make(ERR_MALFORMED, "the broker sent %s", what);

    broker_wire_fail(end->wire, &fault);
}

static void on_up(void *context)
{
    struct broker_link_end *end = context;
    struct broker *broker = end->broker;

    if (end->which == BROKER_CONSUMING)
        broker_consumer_on_up(broker);
    else
        broker_publish_on_up(broker);
    broker->events.on_link(broker->context, end->which, true, NULL);
}

static void on_down(void *context, const struct fault *fault)
{
    struct broker_link_end *end = context;
    struct broker *broker = end->broker;

    broker_declare_on_down(end, fault);
    if (end->which == BROKER_CONSUMING) {
        broker_settle_on_down(broker, fault);
        broker_consumer_on_down(broker);
    } else {
        broker_publish_on_down(broker, fault);
    }
    broker->events.on_link(broker->context, end->which, false, fault);
}

static void on_method(void *context, uint16_t channel, uint32_t method, void *decoded)
{
    struct broker_link_end *end = context;
    struct broker *broker = end->broker;
    bool known;

    if (channel == BROKER_WIRE_CONTROL)
        known = broker_declare_on_method(end, method, decoded);
    else if (end->which == BROKER_CONSUMING)
        known = broker_consumer_on_method(broker, method, decoded) || broker_settle_on_method(broker, method);
    else
        known = broker_publish_on_method(broker, method, decoded);
    if (!known)
        broker_link_confused(end, "an answer to nothing");
}

static void on_content(void *context, struct broker_content *content)
{
    struct broker_link_end *end = context;

    if (content->method == AMQP_BASIC_DELIVER_METHOD && end->which == BROKER_CONSUMING)
        broker_consumer_on_deliver(end->broker, content);
    else if (content->method == AMQP_BASIC_GET_OK_METHOD && end->which == BROKER_CONSUMING)
        broker_settle_on_got(end->broker, content);
    else if (content->method == AMQP_BASIC_RETURN_METHOD && end->which == BROKER_PUBLISHING)
        broker_publish_on_returned(end->broker, content);
    else
        broker_link_confused(end, "a message for nobody");
}

static size_t body_limit(void *context, const struct broker_content *content)
{
    enum { GET_BODY_MAX = 16 * 1024 * 1024 };
    struct broker_link_end *end = context;

    if (content->method == AMQP_BASIC_DELIVER_METHOD)
        return broker_consumer_body_limit(end->broker, content);
    return content->method == AMQP_BASIC_GET_OK_METHOD ? GET_BODY_MAX : end->broker->largest_body_bytes;
}

static void on_control_refused(void *context, const struct fault *fault)
{
    broker_declare_on_refused(context, fault);
}

static void on_blocked(void *context, bool blocked, const char *reason)
{
    struct broker_link_end *end = context;

    if (end->which == BROKER_PUBLISHING && end->broker->events.on_blocked)
        end->broker->events.on_blocked(end->broker->context, blocked, reason);
}

static void before_write(void *context)
{
    struct broker_link_end *end = context;

    if (end->which == BROKER_CONSUMING)
        broker_settle_flush(end->broker);
}

static void on_closed(void *context)
{
    struct broker_link_end *end = context;

    broker_wire_free(TAKE(end->wire));
    loop_task_start(&end->broker->tell_task);
}

/* ---- life ---- */

static enum err open_wire(struct broker *broker, enum broker_link which, const struct broker_options *options)
{
    static const struct broker_wire_events wire_events = {
        .on_up = on_up,
        .on_down = on_down,
        .on_method = on_method,
        .on_content = on_content,
        .body_limit = body_limit,
        .on_control_refused = on_control_refused,
        .on_blocked = on_blocked,
        .before_write = before_write,
        .on_closed = on_closed,
    };
    const struct broker_wire_options wire_options = {
        .uris = broker->uris,
        .uri_count = broker->uri_count,
        .username = broker->username,
        .password = broker->password,
        .connection_name = broker->connection_name,
        .tls = broker->tls,
        .heartbeat_s = options->heartbeat_s,
    };
    struct broker_link_end *end = &broker->links[which];

    end->wire = broker_wire_new(broker->loop, &wire_options, &wire_events, end);
    return end->wire ? OK : ERR_NOMEM;
}

static enum err open_tls(struct broker *broker, const struct broker_options *options, struct fault *ret_fault)
{
    bool wanted = false;

    for (size_t i = 0; i < broker->uri_count; i++)
        wanted = wanted || broker->uris[i].tls;
    if (!wanted)
        return OK;
    broker->tls = broker_tls_new(options->tls_ca_file, options->tls_cert_file, options->tls_key_file,
                                 options->tls_verify, ret_fault);
    return broker->tls ? OK : ret_fault->code;
}

static enum err copy_text(char **ret_copy, const char *text)
{
    if (text)
        *ret_copy = strdup(text);
    return text && !*ret_copy ? ERR_NOMEM : OK;
}

static enum err set_up(struct broker *broker, const struct broker_options *options, struct fault *ret_fault)
{
    enum err err = broker_uri_list_new(options->uris, &broker->uris, &broker->uri_count, ret_fault);

    if (err == OK)
        err = open_tls(broker, options, ret_fault);
    if (err != OK)
        return err;
    err = copy_text(&broker->username, options->username);
    if (err == OK)
        err = copy_text(&broker->password, options->password);
    if (err == OK)
        err = copy_text(&broker->connection_name, options->connection_name);
    if (err == OK && options->consumes)
        err = open_wire(broker, BROKER_CONSUMING, options);
    if (err == OK && options->publishes)
        err = open_wire(broker, BROKER_PUBLISHING, options);
    *ret_fault = fault_of(err);
    return err;
}

struct broker *broker_open(struct loop *loop, const struct broker_options *options,
                           const struct broker_events *events, void *context, struct fault *ret_fault)
{
    struct broker *broker = calloc(1, sizeof(*broker));

    if (!broker) {
        *ret_fault = fault_of(ERR_NOMEM);
        return NULL;
    }
    broker->loop = loop;
    broker->events = *events;
    broker->context = context;
    broker->max_output_bytes = options->max_output_bytes;
    broker_settle_init(broker);
    broker_publish_init(broker);
    loop_task_init(&broker->tell_task, loop, on_tell_task);
    for (size_t i = 0; i < BROKER_LINKS; i++) {
        broker->links[i] = (struct broker_link_end){.broker = broker, .which = (enum broker_link)i};
        broker_declare_init(&broker->links[i]);
    }
    if (set_up(broker, options, ret_fault) != OK) {
        free_broker(broker);
        return NULL;
    }
    for (size_t i = 0; i < BROKER_LINKS; i++) {
        if (broker->links[i].wire)
            broker_wire_start(broker->links[i].wire);
    }
    return broker;
}

void broker_close(struct broker *broker)
{
    const struct fault canceled = fault_of(ERR_CANCELED);

    if (!broker || broker->closing)
        return;
    broker->closing = true;
    for (size_t i = 0; i < BROKER_LINKS; i++) {
        broker_declare_on_down(&broker->links[i], &canceled);
        if (broker->links[i].wire)
            broker_wire_close(broker->links[i].wire);
    }
    broker_settle_on_down(broker, &canceled);
    broker_publish_on_down(broker, &canceled);
    broker_consumer_free_all(broker);
    loop_task_start(&broker->tell_task);
}

void broker_renew(struct broker *broker, enum broker_link link, const char *why)
{
    const struct fault fault = fault_make(ERR_NETWORK, "%s", why);

    if (!broker->closing && broker_up(broker, link))
        broker_wire_fail(broker->links[link].wire, &fault);
}

bool broker_up(const struct broker *broker, enum broker_link link)
{
    return broker_link_ready(&broker->links[link]);
}

bool broker_blocked(const struct broker *broker)
{
    const struct broker_link_end *end = &broker->links[BROKER_PUBLISHING];

    return end->wire && broker_wire_blocked(end->wire);
}

int broker_server_major(const struct broker *broker)
{
    for (size_t i = 0; i < BROKER_LINKS; i++) {
        if (broker->links[i].wire && broker_wire_server_major(broker->links[i].wire) > 0)
            return broker_wire_server_major(broker->links[i].wire);
    }
    return 0;
}
