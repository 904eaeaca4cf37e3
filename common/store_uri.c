/*
 * Takes a Redis URI apart. Decides what counts as one and what its defaults are; store.c calls it once at
 * start and connects by what it says. Never quotes its input: there may be a password in it.
 */
#include "common/store_uri.h"

#include <limits.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#define TCP_SCHEME  "redis://"
#define UNIX_SCHEME "redis+unix://"
#define ALLOWED     "; allowed: redis://[user[:password]@]host[:port][/db] or redis+unix:///path[?db=N]"

static struct fault wrong(const char *what)
{
    return fault_make(ERR_CONFIG, "Redis URI: %s" ALLOWED, what);
}

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

/* A percent-decoded copy of [from, to). */
static enum err decode(const char *from, const char *to, char **ret_text, struct fault *ret_fault)
{
    AUTO_FREE char *text = malloc((size_t)(to - from) + 1);
    size_t length = 0;

    if (!text) {
        *ret_fault = fault_of(ERR_NOMEM);
        return ERR_NOMEM;
    }
    while (from < to) {
        if (*from != '%') {
            text[length++] = *from++;
            continue;
        }
        int high = to - from > 2 ? hex_value(from[1]) : -1;
        int low = to - from > 2 ? hex_value(from[2]) : -1;
        if (high < 0 || low < 0 || high + low == 0) {
            *ret_fault = wrong("a % sign must be followed by two hex digits, not 00");
            return ERR_CONFIG;
        }
        text[length++] = (char)(high * 16 + low);
        from += 3;
    }
    text[length] = '\0';
    *ret_text = TAKE(text);
    return OK;
}

/* Decimal digits only, 0..limit, else -1. */
static long read_number(const char *from, const char *to, long limit)
{
    long value = 0;

    if (from == to)
        return -1;
    for (; from < to; from++) {
        if (*from < '0' || *from > '9')
            return -1;
        value = value * 10 + (*from - '0');
        if (value > limit)
            return -1;
    }
    return value;
}

static enum err read_database(const char *from, const char *to, struct store_uri *uri,
                              struct fault *ret_fault)
{
    long database = read_number(from, to, INT_MAX / 16);

    if (database < 0) {
        *ret_fault = wrong("the database must be a number from 0");
        return ERR_CONFIG;
    }
    uri->database = (int)database;
    return OK;
}

static enum err read_login(const char *from, const char *to, struct store_uri *uri, struct fault *ret_fault)
{
    const char *colon = memchr(from, ':', (size_t)(to - from));
    const char *name_end = colon ? colon : to;
    enum err err = OK;

    if (name_end > from)
        err = decode(from, name_end, &uri->username, ret_fault);
    if (!err && colon && to > colon + 1)
        err = decode(colon + 1, to, &uri->password, ret_fault);
    if (!err && uri->username && !uri->password && !colon) {
        *ret_fault = wrong("a user name without a password (a password alone is written :password@)");
        err = ERR_CONFIG;
    }
    return err;
}

static enum err read_host(const char *from, const char *to, struct store_uri *uri, struct fault *ret_fault)
{
    const char *host_end = to;
    const char *port = NULL;

    if (from < to && *from == '[') {
        from++;
        host_end = memchr(from, ']', (size_t)(to - from));
        if (!host_end || (host_end + 1 < to && host_end[1] != ':')) {
            *ret_fault = wrong("an IPv6 address is written [address]:port");
            return ERR_CONFIG;
        }
        port = host_end + 1 < to ? host_end + 2 : NULL;
    } else {
        const char *colon = memchr(from, ':', (size_t)(to - from));
        if (colon) {
            host_end = colon;
            port = colon + 1;
        }
    }
    if (host_end == from) {
        *ret_fault = wrong("the host is missing");
        return ERR_CONFIG;
    }
    if (port && read_number(port, to, 65535) < 1) {
        *ret_fault = wrong("the port must be a number from 1 to 65535");
        return ERR_CONFIG;
    }
    uri->port = port ? strndup(port, (size_t)(to - port)) : strdup("6379");
    if (!uri->port) {
        *ret_fault = fault_of(ERR_NOMEM);
        return ERR_NOMEM;
    }
    return decode(from, host_end, &uri->host, ret_fault);
}

static enum err read_tcp(const char *from, struct store_uri *uri, struct fault *ret_fault)
{
    const char *end = from + strlen(from);
    const char *authority_end = from + strcspn(from, "/?#");
    const char *at = memrchr(from, '@', (size_t)(authority_end - from));
    enum err err = OK;

    if (*authority_end == '?' || *authority_end == '#' || strpbrk(authority_end, "?#")) {
        *ret_fault = wrong("nothing may follow the database");
        return ERR_CONFIG;
    }
    if (at)
        err = read_login(from, at, uri, ret_fault);
    if (!err)
        err = read_host(at ? at + 1 : from, authority_end, uri, ret_fault);
    if (!err && authority_end < end && authority_end + 1 < end)
        err = read_database(authority_end + 1, end, uri, ret_fault);
    return err;
}

static enum err read_unix(const char *from, struct store_uri *uri, struct fault *ret_fault)
{
    const char *path = strchr(from, '/');
    const char *query = path ? strchr(path, '?') : NULL;
    const char *path_end = query ? query : from + strlen(from);
    enum err err = OK;

    if (!path || (path > from && path[-1] != '@')) {
        *ret_fault = wrong("the path of a unix socket must be absolute");
        return ERR_CONFIG;
    }
    if (path > from)
        err = read_login(from, path - 1, uri, ret_fault);
    if (!err)
        err = decode(path, path_end, &uri->path, ret_fault);
    if (!err && strlen(uri->path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
        *ret_fault = wrong("the path of the unix socket is too long");
        err = ERR_CONFIG;
    }
    if (!err && query) {
        if (strncmp(query, "?db=", 4) != 0) {
            *ret_fault = wrong("after the path only ?db=N may follow");
            return ERR_CONFIG;
        }
        err = read_database(query + 4, query + strlen(query), uri, ret_fault);
    }
    return err;
}

enum err store_uri_parse(const char *text, struct store_uri *ret_uri, struct fault *ret_fault)
{
    struct store_uri uri = {.host = NULL};
    enum err err = ERR_CONFIG;

    if (strncasecmp(text, TCP_SCHEME, strlen(TCP_SCHEME)) == 0)
        err = read_tcp(text + strlen(TCP_SCHEME), &uri, ret_fault);
    else if (strncasecmp(text, UNIX_SCHEME, strlen(UNIX_SCHEME)) == 0)
        err = read_unix(text + strlen(UNIX_SCHEME), &uri, ret_fault);
    else if (strncasecmp(text, "rediss://", strlen("rediss://")) == 0)
        *ret_fault = wrong("TLS is not built in: use a unix socket, or a local TLS tunnel such as stunnel");
    else
        *ret_fault = wrong("unknown scheme");

    if (err)
        store_uri_fini(&uri);
    else
        *ret_uri = uri;
    return err;
}

void store_uri_fini(struct store_uri *uri)
{
    if (uri->password)
        explicit_bzero(uri->password, strlen(uri->password));
    free(uri->host);
    free(uri->port);
    free(uri->path);
    free(uri->username);
    free(uri->password);
    *uri = (struct store_uri){.host = NULL};
}
