/*
 * From the bytes of an INI file to entries. inih splits the lines; this file feeds it line by line, so that a
 * line it would cut, a key given twice or text it would let through is a clear error. What keys mean is
 * config.c's business. Called by worker/settings.c.
 */
#include "common/config.h"

#include "common/text.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <unistd.h>

enum { FILE_MAX_BYTES = 1 << 20, ENTRIES_MAX = 4000 };

struct reader {
    struct config *config;
    const char *text;
    size_t length, offset;
    int line;         /* the one inih has, from 1 */
    const char *rest; /* what inih has not been given of that line, because it takes short ones only */
    size_t rest_length;
    bool indented;      /* that line begins with a blank */
    char *section;      /* of that line; NULL before the first head */
    bool after_key;     /* a key was read in this section: an indented line goes on with it */
    struct fault fault; /* the first */
};

static enum err fail_file(const char *path, const char *what, int error, struct fault *ret_fault)
{
    *ret_fault =
        fault_make(ERR_CONFIG, "%s: %s%s%s", path, what, error ? ": " : "", error ? strerror(error) : "");
    return ERR_CONFIG;
}

MUST_CHECK enum err config_read_file(const char *path, char **ret_text, size_t *ret_length,
                                     struct fault *ret_fault)
{
    AUTO_TEXT struct text text = TEXT_EMPTY(FILE_MAX_BYTES);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char block[8192];
    ssize_t count = 0;
    enum err err;

    if (fd < 0)
        return fail_file(path, "cannot be opened", errno, ret_fault);
    do {
        count = read(fd, block, sizeof(block));
        if (count > 0)
            text_append(&text, block, (size_t)count);
    } while ((count > 0 && text.failed == OK) || (count < 0 && errno == EINTR));
    if (count < 0) {
        int error = errno;

        close(fd);
        return fail_file(path, "cannot be read", error, ret_fault);
    }
    close(fd);
    if (text.failed == ERR_TOO_BIG)
        return fail_file(path, "larger than 1 MiB", 0, ret_fault);
    err = text_take(&text, ret_text, ret_length);
    if (err != OK)
        *ret_fault = fault_of(err);
    return err;
}

/* Keeps the first fault, which names the line at hand. */
static void fail_line(struct reader *reader, const char *words)
{
    if (reader->fault.code == OK)
        reader->fault = fault_make(ERR_CONFIG, "%s:%d: %s", reader->config->name, reader->line, words);
}

static void fail_memory(struct reader *reader)
{
    if (reader->fault.code == OK)
        reader->fault = fault_of(ERR_NOMEM);
}

/* Takes what it is given, also when it fails. */
static void add_entry(struct reader *reader, char *take_key, char *take_value)
{
    struct config *config = reader->config;
    struct config_entry *entries = NULL;
    char *section = strdup(reader->section);

    if (config->count >= ENTRIES_MAX)
        fail_line(reader, "too many keys in one file");
    else
        entries = reallocarray(config->entries, config->count + 1, sizeof(*entries));
    if (entries)
        config->entries = entries;
    if (!entries || !section) {
        fail_memory(reader);
        free(section);
        free(take_key);
        free(take_value);
        return;
    }
    config->entries[config->count++] =
        (struct config_entry){.section = section, .key = take_key, .value = take_value, .line = reader->line};
}

/* A head "[name]", which inih would cut at 49 bytes. inih refuses one without its bracket. */
static void begin_section(struct reader *reader, const char *start)
{
    const char *end = strchr(start, ']');

    if (!end)
        return;
    while (end > start && isspace((unsigned char)end[-1]))
        end--;
    while (start < end && isspace((unsigned char)*start))
        start++;
    free(reader->section);
    reader->section = strndup(start, (size_t)(end - start));
    reader->after_key = false;
    if (reader->section)
        add_entry(reader, NULL, NULL);
    else
        fail_memory(reader);
}

/* Whether a blank and a ";" behind it, which begin a comment, stand in the text. */
static bool has_comment(const char *text, size_t length)
{
    for (size_t i = 1; i < length; i++) {
        if (text[i] == ';' && isspace((unsigned char)text[i - 1]))
            return true;
    }
    return false;
}

/* How much of a long line inih gets, so that the rest can be joined to the value: no blank and no beginning
 * of a comment is next to the cut. 0 = it cannot be cut. */
static size_t cut_line(const char *line, size_t room)
{
    size_t start = strspn(line, " \t\r\v\f");

    if (line[start] == '[')
        return 0;
    while (room > start && (isspace((unsigned char)line[room - 1]) || isspace((unsigned char)line[room]) ||
                            line[room] == ';'))
        room--;
    return room > start ? room : 0;
}

/* inih's fgets. */
static char *read_line(char *buffer, int size, void *stream)
{
    struct reader *reader = stream;
    const char *line = reader->text + reader->offset, *end, *start;
    size_t length, room = (size_t)size - 2;

    if (reader->fault.code != OK || reader->offset >= reader->length)
        return NULL;
    end = memchr(line, '\n', reader->length - reader->offset);
    length = end ? (size_t)(end - line) : reader->length - reader->offset;
    reader->line++;
    reader->offset += length + (end ? 1 : 0);
    reader->rest_length = 0;
    if (length > room) {
        size_t cut = cut_line(line, room);

        if (cut == 0) {
            fail_line(reader, "the line is too long");
            return NULL;
        }
        reader->rest = line + cut;
        reader->rest_length = has_comment(line, cut) ? 0 : length - cut;
        length = cut;
    }
    memcpy(buffer, line, length);
    buffer[length] = '\n';
    buffer[length + 1] = '\0';
    start = buffer + strspn(buffer, " \t\r\v\f");
    reader->indented = start > buffer;
    if (*start == '[' && !(reader->indented && reader->after_key))
        begin_section(reader, start + 1);
    return buffer;
}

/* Adds to the newest value; an inline comment is cut, as inih does on other lines. */
static void append_value(struct reader *reader, const char *separator, const char *more, size_t more_length)
{
    struct config_entry *entry = &reader->config->entries[reader->config->count - 1];
    size_t old = strlen(entry->value), gap = strlen(separator), length = 0;
    char *value;

    while (length < more_length &&
           !(more[length] == ';' && (length == 0 || isspace((unsigned char)more[length - 1]))))
        length++;
    while (length > 0 && isspace((unsigned char)more[length - 1]))
        length--;
    value = realloc(entry->value, old + gap + length + 1);
    if (!value) {
        fail_memory(reader);
        return;
    }
    memcpy(value + old, separator, gap);
    memcpy(value + old + gap, more, length);
    value[old + gap + length] = '\0';
    entry->value = value;
}

/* One more line of the value before. */
static void extend_entry(struct reader *reader, const char *more)
{
    struct config_entry *entry = &reader->config->entries[reader->config->count - 1];

    append_value(reader, " ", more, strlen(more));
    if (entry->continued_line == 0)
        entry->continued_line = reader->line;
}

/* inih's handler: 1 goes on, 0 is an error of this line. */
static int on_pair(void *context, const char *ini_section, const char *name, const char *value)
{
    struct reader *reader = context;
    struct config *config = reader->config;

    (void)ini_section; /* perhaps cut: our own is whole */
    if (reader->fault.code != OK)
        return 0;
    if (reader->indented && reader->after_key) {
        extend_entry(reader, value);
        append_value(reader, "", reader->rest, reader->rest_length);
        return reader->fault.code == OK;
    }
    if (!reader->section || name[0] == '\0') {
        fail_line(reader, reader->section ? "a key is missing before the \"=\""
                                          : "a key stands before any [section]");
        return 0;
    }
    for (size_t i = 0; i < config->count; i++) {
        const struct config_entry *entry = &config->entries[i];

        if (entry->key && strcmp(entry->key, name) == 0 && strcmp(entry->section, reader->section) == 0) {
            reader->fault = fault_make(ERR_CONFIG, "%s:%d: %s.%s is given twice, first on line %d",
                                       config->name, reader->line, reader->section, name, entry->line);
            return 0;
        }
    }
    add_entry(reader, strdup(name), strdup(value));
    if (reader->fault.code == OK &&
        (!config->entries[config->count - 1].key || !config->entries[config->count - 1].value))
        fail_memory(reader);
    if (reader->fault.code == OK)
        append_value(reader, "", reader->rest, reader->rest_length);
    reader->after_key = true;
    return reader->fault.code == OK;
}

MUST_CHECK enum err config_parse(const char *name, const char *text, size_t length,
                                 struct config **ret_config, struct fault *ret_fault)
{
    struct config *config = calloc(1, sizeof(*config));
    struct reader reader = {.config = config, .text = text, .length = length, .rest = ""};
    int bad_line = 0;

    if (config)
        config->name = strdup(name);
    if (!config || !config->name)
        reader.fault = fault_of(ERR_NOMEM);
    else if (memchr(text, '\0', length) || !text_utf8_valid(text, length))
        reader.fault = fault_make(ERR_CONFIG, "%s: is not UTF-8 text", name);
    else
        bad_line = ini_parse_stream(read_line, &reader, on_pair, &reader);
    free(reader.section);
    if (reader.fault.code == OK && bad_line < 0)
        reader.fault = fault_of(ERR_NOMEM);
    else if (reader.fault.code == OK && bad_line > 0)
        reader.fault =
            fault_make(ERR_CONFIG, "%s:%d: expected \"key = value\", \"[section]\", or a comment after \"#\"",
                       name, bad_line);
    if (reader.fault.code != OK) {
        config_free(config);
        *ret_fault = reader.fault;
        return reader.fault.code;
    }
    *ret_config = config;
    return OK;
}

void config_free(struct config *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < config->count; i++) {
        free(config->entries[i].section);
        free(config->entries[i].key);
        free(config->entries[i].value);
    }
    free(config->entries);
    free(config->name);
    free(config);
}
