/*
 * `fulfilld dead list|requeue`: looks at the dead queue, or puts orders back to work. Messages are taken one
 * by one without an ack; what is requeued is acked after the broker has confirmed the new copy, everything
 * else goes back at the end, or when the connection is lost. The dead queue has no delivery limit, so looking
 * costs nothing.
 */
#include "worker/commands.h"

#include "common/text.h"
#include "worker/copy_headers.h"
#include "worker/operator_link.h"
#include "worker/order.h"

#include <argp.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum {
    HANDS = 32,
    CONFIRM_TIMEOUT_MS = 10 * 1000,
    PROGRESS_MS = 1000,
    BACK_AGAIN_MS = 20, /* how often the queue is asked whether all of it is back, and for how long at most */
    BACK_TRIES = 150
};

struct arguments {
    const char *config, *order, *reason;
    bool requeue, all, json;
    int words;
};

struct dead;

/* Takes one message after the other. Several do so at once, since each step is a round trip to the broker. */
struct hand {
    struct dead *dead;
    struct broker_get_op get_op;
    struct publish_op publish_op;
    struct message message; /* the one in hand */
    struct delivery delivery;
    struct headers *headers; /* of the copy being published */
};

struct dead {
    struct arguments arguments;
    const struct settings *settings;
    struct operator_link *link;
    char queue[256], orders[256];
    struct broker_declare_op count_op;
    struct hand hands[HANDS];
    size_t busy; /* hands at work */
    size_t total, asked, seen, matched;
    uint32_t epoch;        /* of the connection that everything was taken from */
    struct delivery *held; /* owned: what goes back */
    size_t held_count;
    struct loop_timer back; /* asks whether it has */
    int back_tries;
    json_t *rows; /* with --json */
    struct loop_timer progress;
    bool progress_shown;
    bool stopped;
    int status;
};

static void next(struct hand *hand);

static void stop(struct dead *dead, int status)
{
    dead->stopped = true;
    dead->status = status;
    loop_timer_stop(&dead->progress);
    loop_timer_stop(&dead->back);
    operator_link_stop(dead->link);
}

/* The first failure is told; what follows from it is not. */
static void fail(struct dead *dead, const struct fault *fault)
{
    if (dead->stopped)
        return;
    if (dead->progress_shown)
        fputc('\n', stderr);
    fprintf(stderr, "FAIL  %s\n", fault->detail);
    if (dead->arguments.requeue)
        fprintf(stderr, "%zu of %zu dead orders requeued; the others are still there\n", dead->matched,
                dead->total);
    stop(dead, EXIT_FAILED);
}

static void on_progress(struct loop_timer *timer)
{
    struct dead *dead = container_of(timer, struct dead, progress);

    dead->progress_shown = true;
    fprintf(stderr, "\r%zu of %zu looked at, %zu %s ", dead->seen, dead->total, dead->matched,
            dead->arguments.requeue ? "requeued" : "found");
    loop_timer_start(timer, PROGRESS_MS);
}

/* ---- one message ---- */

/* What a person wants to know of it. Texts are safe to show, whatever was in the message; "" when unknown. */
struct facts {
    char number[ORDER_MAX_NUMBER + 1], refund[ORDER_MAX_NUMBER + 1];
    char reason[64], detail[512], message_id[256];
    const char *action;
};

static void copy_shown(char *out, size_t size, const char *text)
{
    text_utf8_copy(out, size, text ? text : "", text ? strlen(text) : 0);
}

static void read_facts(const struct message *message, struct facts *facts)
{
    char number[ORDER_MAX_NUMBER + 1] = "";
    struct order *order = NULL;
    struct fault fault;

    *facts = (struct facts){.action = ""};
    if (order_parse(message->body, message->body_length, &order, number, &fault) == OK) {
        facts->action = order->resubmit ? "resubmit" : order_action_name(order->action);
        copy_shown(facts->number, sizeof(facts->number), order->number);
        copy_shown(facts->refund, sizeof(facts->refund), order->refund_number);
    } else {
        copy_shown(facts->number, sizeof(facts->number), number);
    }
    order_free(order);
    copy_shown(facts->reason, sizeof(facts->reason), headers_str(message->headers, HEADER_REASON));
    copy_shown(facts->detail, sizeof(facts->detail), headers_str(message->headers, HEADER_DETAIL));
    copy_shown(facts->message_id, sizeof(facts->message_id), message->message_id);
}

static bool matches(const struct arguments *arguments, const struct facts *facts)
{
    return (!arguments->order || strcmp(arguments->order, facts->number) == 0) &&
           (!arguments->reason || strcmp(arguments->reason, facts->reason) == 0);
}

static const char *or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static const char *or_unknown(const char *text)
{
    return text[0] != '\0' ? text : "?";
}

static enum err show(struct hand *hand, const struct facts *facts)
{
    struct dead *dead = hand->dead;
    const struct headers *headers = hand->message.headers;
    json_t *row;

    if (!dead->arguments.json) {
        printf("%-24s %-8s %-20s %s\n", or_unknown(facts->number), or_unknown(facts->action),
               or_unknown(facts->reason), facts->detail);
        return OK;
    }
    row = json_pack("{s:s?, s:s?, s:s?, s:s?, s:s?, s:s?, s:I, s:I}", "order_number", or_null(facts->number),
                    "action", or_null(facts->action), "refund_number", or_null(facts->refund), "reason",
                    or_null(facts->reason), "detail", or_null(facts->detail), "message_id",
                    or_null(facts->message_id), "generation",
                    (json_int_t)headers_int(headers, HEADER_GENERATION, 0), "attempts",
                    (json_int_t)headers_int(headers, HEADER_ATTEMPTS, 0));
    return json_array_append_new(dead->rows, row) == 0 ? OK : ERR_NOMEM;
}

static void on_published(struct publish_op *op, const struct fault *fault)
{
    struct hand *hand = container_of(op, struct hand, publish_op);
    struct dead *dead = hand->dead;

    headers_free(TAKE(hand->headers));
    if (fault->code != OK || dead->stopped) {
        fail(dead, fault);
        return;
    }
    broker_ack(operator_link_broker(dead->link), hand->delivery);
    message_fini(&hand->message);
    dead->matched++;
    next(hand);
}

static void requeue(struct hand *hand)
{
    struct dead *dead = hand->dead;
    bool copied = false;
    struct fault nomem = fault_of(ERR_NOMEM);
    struct publication publication = {
        .exchange = dead->orders,
        .routing_key = "order.requeue",
        .message_id = hand->message.message_id,
        .content_type = hand->message.content_type,
        .carried = hand->message.carried,
        .body = hand->message.body,
        .body_length = hand->message.body_length,
    };

    hand->headers = headers_copy(hand->message.headers, &copied);
    if (copied && !hand->headers)
        hand->headers = headers_new();
    /* The header is what makes it a person's word; a message put into the dead queue by hand may lack it. */
    if (!hand->headers || (!headers_has(hand->headers, HEADER_REASON) &&
                           headers_set_str(hand->headers, HEADER_REASON, "requeued") != OK)) {
        fail(dead, &nomem);
        return;
    }
    publication.headers = hand->headers;
    broker_publish(operator_link_broker(dead->link), &hand->publish_op, &publication, CONFIRM_TIMEOUT_MS,
                   on_published);
}

static void finish(struct dead *dead)
{
    const struct fault unwritten = fault_make(ERR_UNAVAILABLE, "the output cannot be written");

    if (dead->progress_shown)
        fputc('\n', stderr);
    if (dead->arguments.json &&
        (json_dumpf(dead->rows, stdout, JSON_INDENT(2)) != 0 || putchar('\n') == EOF)) {
        fail(dead, &unwritten);
        return;
    }
    if (dead->arguments.requeue)
        fprintf(stderr, "%zu of %zu dead orders requeued\n", dead->matched, dead->total);
    else if (!dead->arguments.json)
        fprintf(stderr, "%zu of %zu dead orders\n", dead->matched, dead->total);
    if (dead->arguments.order && dead->matched == 0) {
        fprintf(stderr, "FAIL  order %s is not in %s; see 'fulfilld order %s'\n", dead->arguments.order,
                dead->queue, dead->arguments.order);
        stop(dead, EXIT_FAILED);
        return;
    }
    stop(dead, EXIT_DONE);
}

static void look_at(struct hand *hand)
{
    struct dead *dead = hand->dead;
    const struct fault nomem = fault_of(ERR_NOMEM);
    struct facts facts;

    read_facts(&hand->message, &facts);
    if (matches(&dead->arguments, &facts)) {
        if (show(hand, &facts) != OK) {
            fail(dead, &nomem);
            return;
        }
        if (dead->arguments.requeue) {
            requeue(hand);
            return;
        }
        dead->matched++;
    }
    dead->held[dead->held_count++] = hand->delivery;
    message_fini(&hand->message);
    next(hand);
}

/* ---- the end ---- */

/* The queue takes things back a moment after it was told to; whoever looks next is not to find it empty. */
static void on_counted_back(struct broker_declare_op *op, const struct fault *fault)
{
    struct dead *dead = container_of(op, struct dead, count_op);

    if (dead->stopped)
        return;
    if (fault->code != OK || op->message_count >= dead->held_count || ++dead->back_tries >= BACK_TRIES)
        finish(dead); /* a lost connection gives it back as well */
    else
        loop_timer_start(&dead->back, BACK_AGAIN_MS);
}

static void on_back(struct loop_timer *timer)
{
    struct dead *dead = container_of(timer, struct dead, back);

    broker_declare_queue(operator_link_broker(dead->link), &dead->count_op, dead->queue, NULL, true,
                         on_counted_back);
}

static void give_back(struct dead *dead)
{
    for (size_t i = 0; i < dead->held_count; i++)
        broker_requeue(operator_link_broker(dead->link), dead->held[i]);
    on_back(&dead->back);
}

static void rest(struct hand *hand)
{
    if (--hand->dead->busy == 0)
        give_back(hand->dead);
}

static void on_get(struct broker_get_op *op, struct delivery delivery, struct message *take_message,
                   const struct fault *fault)
{
    struct hand *hand = container_of(op, struct hand, get_op);
    struct dead *dead = hand->dead;
    const struct fault lost = fault_make(ERR_NETWORK, "the connection was lost in between; run it again");

    if (dead->stopped || (fault && fault->code != OK)) {
        if (take_message)
            message_fini(take_message);
        fail(dead, fault);
        return;
    }
    if (!take_message) {
        rest(hand);
        return;
    }
    hand->delivery = delivery;
    hand->message = *take_message;
    *take_message = (struct message){0};
    /* What was looked at before went back to the queue with the connection, and would come again. */
    if (dead->seen++ > 0 && delivery.epoch != dead->epoch) {
        fail(dead, &lost);
        return;
    }
    dead->epoch = delivery.epoch;
    look_at(hand);
}

/* As many as there were at the start: an order that dies again at once is not taken twice. */
static void next(struct hand *hand)
{
    struct dead *dead = hand->dead;

    if (dead->asked == dead->total) {
        rest(hand);
        return;
    }
    dead->asked++;
    broker_get(operator_link_broker(dead->link), &hand->get_op, dead->queue, on_get);
}

static void on_counted(struct broker_declare_op *op, const struct fault *fault)
{
    struct dead *dead = container_of(op, struct dead, count_op);
    const struct fault nomem = fault_of(ERR_NOMEM);

    if (fault->code != OK) {
        fail(dead, fault);
        return;
    }
    dead->total = op->message_count;
    dead->held = calloc(dead->total + 1, sizeof(*dead->held));
    if (!dead->held) {
        fail(dead, &nomem);
        return;
    }
    loop_timer_start(&dead->progress, PROGRESS_MS);
    dead->busy = HANDS;
    for (size_t i = 0; i < HANDS; i++) {
        dead->hands[i].dead = dead;
        next(&dead->hands[i]);
    }
}

static void on_link(void *context, struct operator_link *link, const struct fault *fault)
{
    struct dead *dead = context;

    if (fault)
        fail(dead, fault);
    else
        broker_declare_queue(operator_link_broker(link), &dead->count_op, dead->queue, NULL, true,
                             on_counted);
}

static int run(struct dead *dead)
{
    struct fault fault = fault_of(OK);

    snprintf(dead->queue, sizeof(dead->queue), "%s.dead", dead->settings->amqp_prefix);
    snprintf(dead->orders, sizeof(dead->orders), "%s.orders", dead->settings->amqp_prefix);
    dead->rows = json_array();
    dead->link = operator_link_open(dead->settings, OPERATOR_BROKER, on_link, dead, &fault);
    if (!dead->link) {
        fprintf(stderr, "FAIL  %s\n", fault.detail);
        return EXIT_USAGE;
    }
    loop_timer_init(&dead->progress, operator_link_loop(dead->link), on_progress);
    loop_timer_init(&dead->back, operator_link_loop(dead->link), on_back);
    operator_link_run(dead->link);
    operator_link_free(dead->link);
    for (size_t i = 0; i < HANDS; i++) {
        message_fini(&dead->hands[i].message);
        headers_free(dead->hands[i].headers);
    }
    free(dead->held);
    json_decref(dead->rows);
    return dead->status;
}

/* ---- command line ---- */

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;

    switch (key) {
    case 'o':
        arguments->order = value;
        return 0;
    case 'r':
        arguments->reason = value;
        return 0;
    case 'a':
        arguments->all = true;
        return 0;
    case 'j':
        arguments->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->words++ > 0 || (strcmp(value, "list") != 0 && strcmp(value, "requeue") != 0))
            argp_error(state, "'%s': list or requeue is expected", value);
        arguments->requeue = strcmp(value, "requeue") == 0;
        return 0;
    case ARGP_KEY_END:
        if (arguments->words == 0)
            argp_error(state, "list or requeue is expected");
        if (arguments->requeue && !arguments->order && !arguments->reason && !arguments->all)
            argp_error(state, "requeue needs --order, --reason or --all");
        break;
    default:
        break;
    }
    return command_config_option(key, value, state, &arguments->config);
}

int cmd_dead(int argc, char **argv)
{
    static const struct argp_option options[] = {COMMAND_CONFIG_OPTION,
                                                 {"order", 'o', "NUMBER", 0, "only this order", 0},
                                                 {"reason", 'r', "CODE", 0, "only with this reason", 0},
                                                 {"all", 'a', NULL, 0, "all of them (requeue)", 0},
                                                 {"json", 'j', NULL, 0, "as a JSON array", 0},
                                                 {0}};
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "list|requeue",
        .doc = "Lists or requeues the orders in the dead queue. A requeued order starts a new generation: "
               "every line "
               "that is not complete is tried again, no complete one is sent. Looking changes nothing.\v"
               "Every message stays in the dead queue until the broker has confirmed its copy: it may be "
               "interrupted at "
               "any time. An order that is requeued twice is started once.",
    };
    struct dead dead = {0};
    struct settings *settings;
    int status;

    argp_parse(&argp, argc, argv, 0, NULL, &dead.arguments);
    signal(SIGPIPE, SIG_IGN);
    settings = command_settings(dead.arguments.config);
    if (!settings)
        return EXIT_USAGE;
    dead.settings = settings;
    status = run(&dead);
    settings_free(settings);
    return status;
}
