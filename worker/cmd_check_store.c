/*
 * `fulfilld check` of Redis: login, version, whether it takes writes, and whether it may evict what is known
 * of waiting orders. Called by cmd_check.c.
 */
#include "worker/cmd_check.h"
#include "worker/commands.h"
#include "worker/operator_link.h"

#include <stdio.h>
#include <string.h>

enum { OLDEST_MAJOR = 6 };

struct store_check {
    struct check *check;
    struct operator_link *link;
    struct store_op op;
};

/* The value of "name:value\r\n" in the answer of INFO; "" when it is not there. */
static void read_info(const char *info, const char *name, char *out, size_t size)
{
    size_t length = strlen(name);

    out[0] = '\0';
    for (const char *line = info; line && *line != '\0'; line = strchr(line, '\n'), line += line ? 1 : 0) {
        if (strncmp(line, name, length) == 0 && line[length] == ':') {
            snprintf(out, size, "%.*s", (int)strcspn(line + length + 1, "\r\n"), line + length + 1);
            return;
        }
    }
}

static void judge(struct check *check, const char *info)
{
    char version[64], role[32], policy[64], append_only[8];
    bool well = true;
    int major = 0;

    read_info(info, "redis_version", version, sizeof(version));
    read_info(info, "role", role, sizeof(role));
    read_info(info, "maxmemory_policy", policy, sizeof(policy));
    read_info(info, "aof_enabled", append_only, sizeof(append_only));
    if (sscanf(version, "%d.", &major) == 1 && major < OLDEST_MAJOR) {
        well = false;
        check_fail(check, "Redis", "upgrade it to 6 or later", "version %s is too old", version);
    }
    if (strcmp(role, "slave") == 0) {
        well = false;
        check_fail(check, "Redis", "point redis.uri at the primary", "it is a replica and takes no writes");
    }
    if (policy[0] && strcmp(policy, "noeviction") != 0) {
        well = false;
        check_fail(check, "Redis", "set maxmemory-policy noeviction in redis.conf",
                   "maxmemory-policy is %s: it may forget orders that wait", policy);
    }
    if (well)
        check_ok(check, "Redis", "version %s%s%s%s", version[0] ? version : "unknown", policy[0] ? ", " : "",
                 policy,
                 strcmp(append_only, "0") == 0
                     ? "; appendonly is off: what it knew of orders is lost when it dies"
                     : "");
}

static void on_info(struct store_op *op, const struct store_reply *reply, const struct fault *fault)
{
    struct store_check *self = container_of(op, struct store_check, op);

    if (fault->code == OK)
        judge(self->check, store_reply_str(reply, NULL));
    else
        check_ok(self->check, "Redis",
                 "it answers (its user may not run INFO, so version and eviction are unknown)");
    operator_link_stop(self->link);
}

static void on_link(void *context, struct operator_link *link, const struct fault *fault)
{
    struct store_check *self = context;
    const struct store_arg args[] = {STORE_ARG("INFO")};

    self->link = link;
    if (fault) {
        check_fail(self->check, "Redis",
                   "see redis.uri (it must be the primary), redis.username and redis.password_file", "%s",
                   fault->detail);
        operator_link_stop(link);
        return;
    }
    store_command_start(operator_link_store(link), &self->op, args, ARRAY_LEN(args), on_info);
}

void check_store(struct check *check)
{
    struct store_check self = {.check = check};
    struct fault fault = fault_of(OK);
    struct operator_link *link = operator_link_open(check->settings, OPERATOR_STORE, on_link, &self, &fault);

    if (!link) {
        check_fail(check, "Redis", "see redis.uri and redis.password_file", "%s", fault.detail);
        check->status = EXIT_USAGE;
        return;
    }
    operator_link_run(link);
    operator_link_free(link);
}
