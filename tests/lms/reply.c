/*
 * One HTTP answer: status, headers, body, and how they look on the wire. What is answered is
 * decided by the resources (enrollment, entitlement, token …) or by a script; whether it arrives
 * whole is decided by exchange.c.
 */
#include "reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void reply_reset(struct reply *reply)
{
    reply->status = 200;
    reply->content_type = NULL;
    reply->applied = false;
    buf_reset(&reply->headers);
    buf_reset(&reply->body);
}

void reply_free(struct reply *reply)
{
    buf_free(&reply->headers);
    buf_free(&reply->body);
}

void reply_header(struct reply *reply, const char *name, const char *value)
{
    buf_text(&reply->headers, name);
    buf_add(&reply->headers, ": ", 2);
    buf_add(&reply->headers, value, strcspn(value, "\r\n"));
    buf_add(&reply->headers, "\r\n", 2);
}

void reply_text(struct reply *reply, int status, const char *key, const char *format, ...)
{
    char stack[512];
    char *text = stack;
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(stack, sizeof(stack), format, args);
    va_end(args);
    if (len >= (int)sizeof(stack)) {
        struct buf longer = {0};

        buf_fill(&longer, ' ', (size_t)len);
        va_start(args, format);
        (void)vsnprintf(longer.data, (size_t)len + 1, format, args);
        va_end(args);
        text = longer.data;
    }
    reply->status = status;
    buf_reset(&reply->body);
    buf_add(&reply->body, "{", 1);
    buf_json(&reply->body, key);
    buf_add(&reply->body, ": ", 2);
    buf_json(&reply->body, text);
    buf_add(&reply->body, "}", 1);
    if (text != stack)
        free(text);
}

void reply_empty(struct reply *reply, int status)
{
    reply->status = status;
    buf_reset(&reply->body);
}

void reply_page(struct reply *reply, int status, const char *text)
{
    reply->status = status;
    reply->content_type = "text/html; charset=utf-8";
    buf_reset(&reply->body);
    buf_printf(&reply->body,
               "<!doctype html>\n<html><head><title>%d</title></head><body><h1>%s</h1>"
               "</body></html>\n",
               status, text);
}

static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {307, "Temporary Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {413, "Payload Too Large"},
        {415, "Unsupported Media Type"},
        {422, "Unprocessable Entity"},
        {425, "Too Early"},
        {429, "Too Many Requests"},
        {500, "Internal Server Error"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
    };

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Status";
}

/* These answers have no body and no Content-Length by definition. */
static bool is_bodiless(int status)
{
    return status == 204 || status == 304 || (status >= 100 && status < 200);
}

void reply_write(const struct reply *reply, size_t declared_len, bool with_body, struct buf *out)
{
    buf_printf(out, "HTTP/1.1 %d %s\r\nServer: fulfill-lms\r\n", reply->status, reason_of(reply->status));
    if (!is_bodiless(reply->status)) {
        buf_printf(out, "Content-Length: %zu\r\n", declared_len);
        if (declared_len && (!reply->content_type || *reply->content_type))
            buf_printf(out, "Content-Type: %s\r\n",
                       reply->content_type ? reply->content_type : "application/json");
    }
    buf_add(out, buf_str(&reply->headers), reply->headers.len);
    buf_add(out, "\r\n", 2);
    if (with_body && !is_bodiless(reply->status))
        buf_add(out, buf_str(&reply->body), reply->body.len);
}
