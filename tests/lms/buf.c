/*
 * Growable bytes for requests, answers and reports. Decides how memory grows and how a text becomes
 * a JSON string; what is written is the callers' business.
 */
#include "buf.h"

#include "mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void reserve(struct buf *buf, size_t more)
{
    size_t need = buf->len + more + 1;
    size_t cap = buf->cap ? buf->cap : 256;

    if (need <= buf->cap)
        return;
    while (cap < need)
        cap *= 2;
    buf->data = mem_resize(buf->data, cap);
    buf->cap = cap;
}

void buf_add(struct buf *buf, const void *bytes, size_t len)
{
    reserve(buf, len);
    if (len)
        memcpy(buf->data + buf->len, bytes, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
}

void buf_text(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0)
        return;
    reserve(buf, (size_t)len);
    va_start(args, format);
    (void)vsnprintf(buf->data + buf->len, (size_t)len + 1, format, args);
    va_end(args);
    buf->len += (size_t)len;
}

/* Length of the valid UTF-8 sequence at p, or 0. Overlong forms and surrogates are refused. */
static size_t utf8_length(const unsigned char *p)
{
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        return (p[1] & 0xc0) == 0x80 ? 2 : 0;
    if ((p[0] & 0xf0) == 0xe0) {
        if ((p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80 || (p[0] == 0xe0 && p[1] < 0xa0) ||
            (p[0] == 0xed && p[1] > 0x9f))
            return 0;
        return 3;
    }
    if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        if ((p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80 || (p[3] & 0xc0) != 0x80 ||
            (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
            return 0;
        return 4;
    }
    return 0;
}

void buf_json(struct buf *buf, const char *text)
{
    const unsigned char *p = (const unsigned char *)text;

    if (!text) {
        buf_text(buf, "null");
        return;
    }
    buf_add(buf, "\"", 1);
    while (*p) {
        size_t run = utf8_length(p);

        if (run == 0) {
            buf_text(buf, "\\ufffd");
            run = 1;
        } else if (*p == '"' || *p == '\\') {
            buf_add(buf, "\\", 1);
            buf_add(buf, p, 1);
        } else if (*p < 0x20) {
            buf_printf(buf, "\\u%04x", *p);
        } else {
            buf_add(buf, p, run);
        }
        p += run;
    }
    buf_add(buf, "\"", 1);
}

void buf_fill(struct buf *buf, char byte, size_t count)
{
    reserve(buf, count);
    memset(buf->data + buf->len, byte, count);
    buf->len += count;
    buf->data[buf->len] = '\0';
}

void buf_drop(struct buf *buf, size_t count)
{
    if (count >= buf->len) {
        buf_reset(buf);
        return;
    }
    memmove(buf->data, buf->data + count, buf->len - count + 1);
    buf->len -= count;
}

void buf_reset(struct buf *buf)
{
    buf->len = 0;
    if (buf->data)
        buf->data[0] = '\0';
}

void buf_free(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){0};
}

const char *buf_str(const struct buf *buf)
{
    return buf->data ? buf->data : "";
}
