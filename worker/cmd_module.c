/*
 * `fulfilld module test`: runs one line through a module, against scripted answers, without RabbitMQ and
 * Redis. The module is a plug-in's file or the name of a built-in one; host, HTTP client and table of
 * outcomes are the real ones. Prints the requests, the answers and what became of the line.
 */
#include "worker/commands.h"
#include "worker/module_host.h"
#include "worker/module_script.h"

#include "common/jsonx.h"
#include "common/text.h"

#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAX_OPTIONS = 32, MAX_INPUT_BYTES = 1024 * 1024, LINE_TIMEOUT_MS = 60000 };

struct arguments {
    const char *command, *module, *line, *responses;
    const char *options[MAX_OPTIONS]; /* KEY=VALUE of its section */
    size_t option_count;
    bool refund, look_first;
    const char *expect;
};

struct kit {
    struct arguments arguments;
    char name[LINE_MODULE_BYTES];
    char directory[32];  /* a key file, and a link to the plug-in */
    char file[PATH_MAX]; /* the plug-in; "" of a built-in module */
    struct loop *loop;
    struct settings *settings;
    struct upstream *upstreams[2];
    size_t upstream_count;
    struct module_host *host;
    struct order *order;
    struct line_outcome outcome;
    struct line_run run;
    pid_t script;
};

static const struct argp_option options[] = {
    {"line", 'l', "FILE", 0,
     "The line: a whole order message, of which the first line is run, or a line alone", 0},
    {"responses", 'r', "FILE", 0,
     "What the upstream answers: a JSON array of {\"status\", \"headers\", \"body\"} or {\"fault\": "
     "\"close\"|\"never\"|\"garbage\"}; all of them must be asked for, and no more",
     0},
    {"option", 'o', "KEY=VALUE", 0, "A key of the module's section; may be repeated", 0},
    {"refund", 'R', NULL, 0,
     "Take the line back instead of fulfilling it; what fulfilment returned is the line's `result`", 0},
    {"look-first", 'f', NULL, 0, "As after a lost answer: an earlier attempt may have succeeded", 0},
    {"expect", 'e', "STATE", 0, "Fail unless the line ends so: complete, failed, final or open", 0},
    {0}};

static error_t take_option(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;

    switch (key) {
    case 'l':
        arguments->line = value;
        break;
    case 'r':
        arguments->responses = value;
        break;
    case 'o':
        if (arguments->option_count == MAX_OPTIONS || !strchr(value, '=') || strpbrk(value, "\r\n"))
            argp_error(state, "--option %s: expected KEY=VALUE, at most %d times", value, MAX_OPTIONS);
        arguments->options[arguments->option_count++] = value;
        break;
    case 'R':
        arguments->refund = true;
        break;
    case 'f':
        arguments->look_first = true;
        break;
    case 'e':
        arguments->expect = value;
        break;
    case ARGP_KEY_ARG:
        if (state->arg_num == 0)
            arguments->command = value;
        else if (state->arg_num == 1)
            arguments->module = value;
        else
            argp_usage(state);
        break;
    case ARGP_KEY_END:
        if (!arguments->module || strcmp(arguments->command, "test") != 0 || !arguments->line)
            argp_usage(state);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* ---- what is read ---- */

static json_t *read_json(const char *path, struct fault *ret_fault)
{
    AUTO_TEXT struct text text = TEXT_EMPTY(MAX_INPUT_BYTES);
    FILE *file = fopen(path, "re");
    char chunk[4096];
    json_t *value = NULL;
    struct fault fault = fault_of(OK);
    size_t got;

    if (!file) {
        *ret_fault = fault_make(ERR_CONFIG, "%s: %s", path, strerror(errno));
        return NULL;
    }
    while ((got = fread(chunk, 1, sizeof(chunk), file)) > 0)
        text_append(&text, chunk, got);
    fclose(file);
    if (text.failed != OK || jsonx_load(text_peek(&text), text.length, MAX_INPUT_BYTES, &value, &fault) != OK)
        *ret_fault =
            fault_make(ERR_CONFIG, "%s: %s", path, text.failed != OK ? err_text(text.failed) : fault.detail);
    return value;
}

/* The message: as given, or one made around a line. */
static enum err read_order(struct kit *kit, struct fault *ret_fault)
{
    AUTO_JSON json_t *given = read_json(kit->arguments.line, ret_fault);
    AUTO_JSON json_t *message = NULL;
    char number[ORDER_MAX_NUMBER + 1];

    if (!given)
        return ERR_CONFIG;
    if (json_object_get(given, "lines"))
        message = json_incref(given);
    else
        message = json_pack("{s:s, s:s, s:s, s:{s:s, s:s}, s:[O]}", "schema", "fulfillment.order/1",
                            "order_number", "TEST-1", "date_placed", "2026-01-02T03:04:05Z", "user",
                            "username", "learner", "email", "learner@example.com", "lines", given);
    if (!message || json_object_set_new(message, "action",
                                        json_string(kit->arguments.refund ? "refund" : "fulfill")) != 0)
        return ERR_NOMEM;
    if (kit->arguments.refund && !json_object_get(message, "refund_number") &&
        json_object_update_new(message, json_pack("{s:s, s:s}", "refund_number", "R-1", "total", "1.00")) !=
            0)
        return ERR_NOMEM;
    char *text = json_dumps(message, JSON_COMPACT);
    enum err err = text ? order_parse(text, strlen(text), &kit->order, number, ret_fault) : ERR_NOMEM;
    free(text);
    return err;
}

/* ---- what is made ---- */

static enum err make_directory(struct kit *kit, struct fault *ret_fault)
{
    char path[64], link_path[96];
    FILE *file;

    strcpy(kit->directory, "/tmp/fulfilld-module-XXXXXX");
    if (!mkdtemp(kit->directory)) {
        kit->directory[0] = '\0';
        *ret_fault = fault_make(ERR_UNAVAILABLE, "/tmp: %s", strerror(errno));
        return ERR_UNAVAILABLE;
    }
    snprintf(path, sizeof(path), "%s/api_key", kit->directory);
    file = fopen(path, "we");
    bool written = file && fputs("test-key\n", file) >= 0;
    written = file && fclose(file) == 0 && written;
    snprintf(link_path, sizeof(link_path), "%s/module.so", kit->directory);
    if (!written || (kit->file[0] && symlink(kit->file, link_path) != 0)) {
        *ret_fault = fault_make(ERR_UNAVAILABLE, "%s: %s", kit->directory, strerror(errno));
        return ERR_UNAVAILABLE;
    }
    return OK;
}

static enum err make_settings(struct kit *kit, int port, struct fault *ret_fault)
{
    const char *product_class = kit->order->lines[0].product_class;
    AUTO_TEXT struct text text = TEXT_EMPTY(MAX_INPUT_BYTES);

    text_printf(&text, "[lms]\nbase_url = http://127.0.0.1:%d\napi_key_file = %s/api_key\ntimeout = 2s\n",
                port, kit->directory);
    text_printf(&text, "[upstream test]\nbase_url = http://127.0.0.1:%d\ntimeout = 2s\n", port);
    if (kit->file[0])
        text_printf(&text, "[plugins]\ndirectory = %s\n", kit->directory);
    text_printf(&text, "[modules]\n%s = tested\n[module tested]\ntype = %s\n", product_class, kit->name);
    if (kit->file[0] || strcmp(kit->name, "webhook") == 0)
        text_puts(&text, "upstream = test\n");
    for (size_t i = 0; i < kit->arguments.option_count; i++)
        text_printf(&text, "%s\n", kit->arguments.options[i]);
    if (text.failed != OK)
        return text.failed;
    kit->settings = settings_load_text("--option", text_peek(&text), text.length, ret_fault);
    return kit->settings ? OK : ERR_CONFIG;
}

static enum err make_host(struct kit *kit, struct fault *ret_fault)
{
    const struct upstream_common common = {
        .loop = kit->loop, .redis_prefix = "", .retry_max_delay_ms = kit->settings->retry_max_delay_ms};

    for (size_t i = 0; i < kit->settings->upstream_count; i++) {
        kit->upstreams[i] = upstream_new(&common, &kit->settings->upstreams[i], ret_fault);
        if (!kit->upstreams[i])
            return ERR_CONFIG;
        kit->upstream_count++;
    }
    kit->host = module_host_new(kit->loop, kit->settings, kit->upstreams, kit->upstream_count, ret_fault);
    return kit->host ? OK : ERR_CONFIG;
}

static enum err find_module(struct kit *kit, struct fault *ret_fault)
{
    if (!strchr(kit->arguments.module, '/') && !strstr(kit->arguments.module, ".so")) {
        snprintf(kit->name, sizeof(kit->name), "%s", kit->arguments.module);
        return OK;
    }
    if (!realpath(kit->arguments.module, kit->file)) {
        *ret_fault = fault_make(ERR_CONFIG, "%s: %s", kit->arguments.module, strerror(errno));
        return ERR_CONFIG;
    }
    return module_host_probe(kit->file, kit->name, ret_fault);
}

static enum err prepare(struct kit *kit, struct fault *ret_fault)
{
    AUTO_JSON json_t *answers = NULL;
    int port = 0;
    enum err err = find_module(kit, ret_fault);

    if (err == OK)
        err = read_order(kit, ret_fault);
    if (err == OK)
        err = make_directory(kit, ret_fault);
    if (err != OK)
        return err;
    answers = kit->arguments.responses ? read_json(kit->arguments.responses, ret_fault) : json_array();
    if (!answers)
        return ERR_CONFIG;
    if (!json_is_array(answers)) {
        *ret_fault = fault_make(ERR_CONFIG, "%s: expected an array of answers", kit->arguments.responses);
        return ERR_CONFIG;
    }
    kit->script = module_script_start(answers, &port, ret_fault);
    if (kit->script < 0)
        return ERR_UNAVAILABLE;
    kit->loop = loop_new();
    err = kit->loop ? make_settings(kit, port, ret_fault) : ERR_NOMEM;
    return err == OK ? make_host(kit, ret_fault) : err;
}

/* ---- running and telling ---- */

static void on_done(struct line_run *run)
{
    struct kit *kit = run->owner;

    for (size_t i = 0; i < kit->upstream_count; i++)
        upstream_free(kit->upstreams[i]);
    kit->upstream_count = 0; /* the loop ends when nothing is left on it */
}

static const char *state_name(enum line_state state)
{
    switch (state) {
    case LINE_OPEN:
        return "open";
    case LINE_COMPLETE:
        return "complete";
    case LINE_REFUNDED:
        return "refunded";
    case LINE_FAILED:
        return "failed";
    case LINE_FINAL:
        return "final";
    }
    return "";
}

/* A script that does not fit the requests proves nothing. */
static bool script_fits(struct kit *kit)
{
    static const char *const words[] = {
        [SCRIPT_TOO_SHORT] = "the module asked for more answers than --responses has",
        [SCRIPT_TOO_LONG] = "the module did not ask for all answers of --responses",
    };
    enum module_script_end end = module_script_stop(kit->script);

    kit->script = 0;
    if (end != SCRIPT_USED_UP)
        fprintf(stderr, "fulfilld module test: %s\n", words[end]);
    return end == SCRIPT_USED_UP;
}

static int tell(struct kit *kit)
{
    const struct line_outcome *outcome = &kit->outcome;
    const char *state = state_name(outcome->state), *expect = kit->arguments.expect;
    bool fits = script_fits(kit);

    printf("\nstate       %s\nstatus      %s\n", state, line_status_text(outcome, kit->arguments.refund));
    if (outcome->reason[0])
        printf("reason      %s: %s\n", outcome->reason, outcome->message);
    if (outcome->http_status)
        printf("HTTP status %d\n", outcome->http_status);
    if (outcome->result_json)
        printf("result      %s\n", outcome->result_json);
    printf("attempt     %s\n", outcome->costs_attempt ? "costs one" : "costs none");
    if (outcome->look_first)
        printf("next        looks first\n");
    if (!expect || strcmp(expect, state) == 0)
        return fits ? EXIT_DONE : EXIT_FAILED;
    fprintf(stderr, "fulfilld module test: expected %s, the line ended %s\n", expect, state);
    return EXIT_FAILED;
}

static void clean_up(struct kit *kit)
{
    char path[96];

    for (size_t i = 0; i < kit->upstream_count; i++)
        upstream_free(kit->upstreams[i]);
    if (kit->loop)
        loop_run(kit->loop); /* what was cancelled comes back */
    module_host_free(kit->host);
    order_free(kit->order);
    settings_free(kit->settings);
    loop_free(kit->loop);
    line_outcomes_free(&kit->outcome, 1);
    if (kit->script > 0)
        module_script_stop(kit->script);
    if (kit->directory[0]) {
        snprintf(path, sizeof(path), "%s/api_key", kit->directory);
        unlink(path);
        snprintf(path, sizeof(path), "%s/module.so", kit->directory);
        unlink(path);
        rmdir(kit->directory);
    }
}

int cmd_module(int argc, char **argv)
{
    static const struct argp argp = {
        options,
        take_option,
        "test MODULE --line FILE",
        "Runs one line through a module, without RabbitMQ or Redis. MODULE is a plug-in's file "
        "(./mine.so) or the name of a built-in module. Its upstream answers as --responses "
        "says, one answer a request; requests and answers are shown.",
        NULL,
        NULL,
        NULL};
    struct kit kit = {0};
    struct fault fault = fault_of(ERR_NOMEM);
    int status = EXIT_USAGE;

    argp_err_exit_status = EXIT_USAGE;
    argp_parse(&argp, argc, argv, 0, NULL, &kit.arguments);
    if (prepare(&kit, &fault) == OK) {
        kit.outcome.id = kit.order->lines[0].id;
        line_outcomes_choose_keys(&kit.outcome, 1, 1);
        kit.run = (struct line_run){.owner = &kit,
                                    .order = kit.order,
                                    .line = &kit.order->lines[0],
                                    .outcome = &kit.outcome,
                                    .refund = kit.arguments.refund,
                                    .look_first = kit.arguments.look_first,
                                    .generation = 1,
                                    .attempt = 1,
                                    .timeout_ms = LINE_TIMEOUT_MS};
        line_run_start(kit.host, &kit.run, on_done);
        loop_run(kit.loop);
        status = tell(&kit);
    } else {
        fprintf(stderr, "fulfilld module test: %s\n", fault.detail);
    }
    clean_up(&kit);
    return status;
}
