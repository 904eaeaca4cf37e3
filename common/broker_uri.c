/*
 * Parses amqp.uris: amqp[s]://[user[:password]@]host[:port][/vhost], several separated by commas. Says what
 * is wrong with one without repeating its password. Defaults are RabbitMQ's: guest, port 5672 or 5671, vhost
 * "/". Called by broker.c when a broker is opened.
 */
#include "common/broker_uri.h"

#include <stdio.h>
#include <string.h>

static void fini(struct broker_uri *uri)
{
    free(uri->host);
    free(uri->port);
    free(uri->username);
    free(uri->password);
    free(uri->vhost);
}

void broker_uri_list_free(struct broker_uri *list, size_t count)
{
    for (size_t i = 0; list && i < count; i++)
        fini(&list[i]);
    free(list);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The decoded text, or NULL for a bad escape, a NUL or no memory. */
static char *decode_percent(const char *text, size_t length)
{
    char *out = malloc(length + 1);
    size_t at = 0;

    if (!out)
        return NULL;
    for (size_t i = 0; i < length; i++) {
        int high, low;

        if (text[i] != '%') {
            out[at++] = text[i];
            continue;
        }
        high = i + 2 < length ? hex_digit(text[i + 1]) : -1;
        low = high >= 0 ? hex_digit(text[i + 2]) : -1;
        if (low < 0 || (high == 0 && low == 0)) {
            free(out);
            return NULL;
        }
        out[at++] = (char)(high * 16 + low);
        i += 2;
    }
    out[at] = '\0';
    return out;
}

static const char *parse_login(struct broker_uri *uri, const char *text, size_t length)
{
    const char *colon = memchr(text, ':', length);
    size_t username_length = colon ? (size_t)(colon - text) : length;

    uri->username = decode_percent(text, username_length);
    uri->password = colon ? decode_percent(colon + 1, length - username_length - 1) : strdup("");
    return uri->username && uri->password ? NULL : "user name and password must be percent-encoded";
}

static bool valid_port(const char *port)
{
    size_t length = strlen(port);

    return length >= 1 && length <= 5 && strspn(port, "0123456789") == length && atoi(port) >= 1 &&
           atoi(port) <= 65535;
}

static const char *parse_address(struct broker_uri *uri, const char *text, size_t length)
{
    const char *end = text + length;
    const char *host = text;
    const char *host_end;
    const char *port;

    if (length > 0 && *text == '[') {
        host = text + 1;
        host_end = memchr(text, ']', length);
        if (!host_end)
            return "an IPv6 address is written [::1]";
        port = host_end + 1;
    } else {
        host_end = memchr(text, ':', length);
        host_end = host_end ? host_end : end;
        port = host_end;
    }
    if (host == host_end)
        return "the host is missing";
    if (port < end && *port != ':')
        return "after the host comes :port or /vhost";
    uri->host = decode_percent(host, (size_t)(host_end - host));
    if (port < end)
        uri->port = strndup(port + 1, (size_t)(end - port - 1));
    else
        uri->port = strdup(uri->tls ? "5671" : "5672");
    if (!uri->host || !uri->port)
        return "the host does not decode";
    return valid_port(uri->port) ? NULL : "the port must be 1..65535";
}

/* NULL, or what is wrong. */
static const char *parse_one(struct broker_uri *uri, const char *text, size_t length)
{
    const char *end = text + length;
    const char *slash;
    const char *at = NULL;

    if (length > 8 && strncmp(text, "amqps://", 8) == 0) {
        uri->tls = true;
        text += 8;
    } else if (length > 7 && strncmp(text, "amqp://", 7) == 0) {
        text += 7;
    } else {
        return "it must begin with amqp:// or amqps://";
    }
    if (memchr(text, '?', (size_t)(end - text)))
        return "options after ? are not taken here: use the keys of [amqp]";
    slash = memchr(text, '/', (size_t)(end - text));
    if (!slash)
        slash = end;
    for (const char *c = text; c < slash; c++)
        at = *c == '@' ? c : at;
    if (at) {
        const char *wrong = parse_login(uri, text, (size_t)(at - text));

        if (wrong)
            return wrong;
        text = at + 1;
    } else {
        uri->username = strdup("guest");
        uri->password = strdup("guest");
    }
    uri->vhost = slash + 1 < end ? decode_percent(slash + 1, (size_t)(end - slash - 1)) : strdup("/");
    if (!uri->vhost || !uri->username || !uri->password)
        return "the vhost must be percent-encoded (%2F for /)";
    return parse_address(uri, text, (size_t)(slash - text));
}

/* The part of a URI that may be shown: all but what stands before its last @. */
static const char *shown(const char *text, size_t length)
{
    for (size_t i = length; i > 0; i--) {
        if (text[i - 1] == '@')
            return text + i;
    }
    return text;
}

enum err broker_uri_list_new(const char *text, struct broker_uri **ret_list, size_t *ret_count,
                             struct fault *ret_fault)
{
    struct broker_uri *list;
    size_t count = 1;

    for (const char *c = text; *c; c++)
        count += *c == ',';
    list = calloc(count, sizeof(*list));
    if (!list) {
        *ret_fault = fault_of(ERR_NOMEM);
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        size_t length;
        const char *wrong;

        text += strspn(text, " \t");
        length = strcspn(text, ",");
        while (length > 0 && strchr(" \t", text[length - 1]))
            length--;
        wrong = parse_one(&list[i], text, length);
        if (wrong) {
            const char *safe = shown(text, length);

            *ret_fault = fault_make(ERR_CONFIG,
                                    "broker address \"%.*s\": %s; allowed is "
                                    "amqp[s]://[user:password@]host[:port][/vhost]",
                                    (int)(length - (size_t)(safe - text)), safe, wrong);
            broker_uri_list_free(list, count);
            return ERR_CONFIG;
        }
        text += strcspn(text, ",");
        text += *text == ',';
    }
    *ret_list = list;
    *ret_count = count;
    return OK;
}
