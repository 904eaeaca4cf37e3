/*
 * Writes log lines: one write(2) a line, JSON or text. Decides how a line looks; which events exist and who
 * says them is worker/events.def's and the callers'. Nothing here may fail its caller: a line that cannot be
 * built or written is dropped.
 */
#include "common/log.h"

#include "common/text.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 65536, VALUE_MAX_BYTES = 1000, TIME_BYTES = 32 };

static struct {
    enum log_level level;
    enum log_format format;
    const char *role; /* NULL = not identified yet */
    int slot;
} log_state = {.level = LOG_LEVEL_INFO, .format = LOG_FORMAT_JSON, .slot = -1};

static const char *const level_names[] = {
    [LOG_LEVEL_DEBUG] = "debug",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_WARNING] = "warning",
    [LOG_LEVEL_ERROR] = "error",
};

static void begin_json(struct text *line, enum log_level level, const char *event, const char *message);
static void begin_text(struct text *line, enum log_level level, const char *event, const char *message);
static void append_field(struct text *line, const struct log_field *field);
static void write_line(const struct text *line);

void log_configure(enum log_level level, enum log_format format)
{
    log_state.level = level;
    log_state.format = format;
}

bool log_enabled(enum log_level level)
{
    return level >= log_state.level;
}

void log_identify(const char *role, int slot)
{
    log_state.role = role;
    log_state.slot = slot;
}

void log_write(enum log_level level, const char *event, const char *message, ...)
{
    AUTO_TEXT struct text line = TEXT_EMPTY(LINE_MAX_BYTES);
    struct log_field field;
    va_list args;

    if (!log_enabled(level))
        return;
    if (log_state.format == LOG_FORMAT_JSON)
        begin_json(&line, level, event, message);
    else
        begin_text(&line, level, event, message);
    va_start(args, message);
    for (field = va_arg(args, struct log_field); field.kind != LOG_FIELD_END;
         field = va_arg(args, struct log_field))
        append_field(&line, &field);
    va_end(args);
    text_puts(&line, log_state.format == LOG_FORMAT_JSON ? "}\n" : "\n");
    if (line.failed == OK)
        write_line(&line);
}

/* The wall clock as RFC 3339 in UTC with milliseconds. */
static void format_time(char out[TIME_BYTES])
{
    struct timespec now = {0};
    struct tm parts = {0};
    char seconds[TIME_BYTES];

    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &parts);
    if (strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &parts) == 0)
        seconds[0] = '\0';
    (void)snprintf(out, TIME_BYTES, "%.19s.%03dZ", seconds, (int)(now.tv_nsec / 1000000 % 1000));
}

static void begin_json(struct text *line, enum log_level level, const char *event, const char *message)
{
    char now[TIME_BYTES];

    format_time(now);
    text_printf(line, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":", now, level_names[level]);
    text_json(line, event);
    text_puts(line, ",\"message\":");
    text_json(line, message);
    text_puts(line, ",\"pid\":");
    text_integer(line, getpid());
    if (log_state.role) {
        text_puts(line, ",\"role\":");
        text_json(line, log_state.role);
        if (log_state.slot >= 0)
            text_printf(line, ",\"slot\":%d", log_state.slot);
    }
}

static void begin_text(struct text *line, enum log_level level, const char *event, const char *message)
{
    char now[TIME_BYTES];

    format_time(now);
    text_printf(line, "%s %-7s ", now, level_names[level]);
    if (log_state.role && log_state.slot >= 0)
        text_printf(line, "%s/%d ", log_state.role, log_state.slot);
    else if (log_state.role)
        text_printf(line, "%s ", log_state.role);
    text_printf(line, "%s: %s", event, message);
}

static void append_field(struct text *line, const struct log_field *field)
{
    char value[VALUE_MAX_BYTES + 1];

    if (log_state.format == LOG_FORMAT_JSON) {
        text_putc(line, ',');
        text_json(line, field->key);
        text_putc(line, ':');
    } else {
        text_printf(line, " %s=", field->key);
    }
    switch (field->kind) {
    case LOG_FIELD_STRING:
        if (field->string)
            text_json_string(line, value,
                             text_utf8_copy(value, sizeof(value), field->string, strlen(field->string)));
        else
            text_puts(line, "null");
        break;
    case LOG_FIELD_INTEGER:
        text_integer(line, field->integer);
        break;
    case LOG_FIELD_BOOLEAN:
        text_puts(line, field->integer ? "true" : "false");
        break;
    case LOG_FIELD_END:
        break;
    }
}

/* A reader that went away or does not keep up loses lines; it must not stop the program. */
static void write_line(const struct text *line)
{
    size_t done = 0;

    while (done < line->length) {
        ssize_t count = write(STDERR_FILENO, line->data + done, line->length - done);

        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return;
        done += (size_t)count;
    }
}
