/*
 * The reference of all settings, from the table that loads them: as an INI file and as Markdown. Shows
 * defaults only, so there is nothing to hide. Called by `fulfilld print-config`; tests compare
 * deploy/fulfilld.ini and docs/configuration.md with it.
 */
#include "worker/settings_table.h"

#include <ctype.h>
#include <string.h>

enum { COMMENT_COLUMNS = 98, ALLOWED_BYTES = 200 };

/* ---- the words around the tables ---- */

static const char ini_head[] =
    "# fulfilld: every setting with its default. A line that begins with # or ; is a comment:\n"
    "# take the ; away to change a setting. After a value, a ; with a blank before it begins a\n"
    "# comment, too.\n"
    "#\n"
    "# Each key outside [modules], [upstream NAME] and [module NAME] can be overridden by the\n"
    "# environment, as FULFILLD_<SECTION>_<KEY>. A list may go on on the next line, indented.\n"
    "# Secrets stand in files. SIGHUP reads this file again, unless the key says otherwise.\n"
    "# `fulfilld check` tries it out.\n";

static const char ini_modules[] =
    "\n\n"
    "# Product class = module. Names of classes keep their case and may hold blanks. An empty value\n"
    "# takes a default away; lines of a class without module end with a configuration error.\n"
    "[modules]\n";

static const char ini_named[] =
    "\n\n"
    "# A further upstream, with the keys of [lms], for modules that name it.\n"
    ";[upstream partner]\n"
    ";base_url = https://partner.example.org\n"
    "\n"
    "# A module of its own, made from a type; all keys but `type` are the module's. Map a product\n"
    "# class to its name in [modules].\n"
    ";[module certificates]\n"
    ";type = webhook\n"
    ";url = https://partner.example.org/certificates\n"
    ";upstream = partner\n";

static const char markdown_head[] =
    "# Configuration\n\n"
    "<!-- Made from worker/settings.def. Do not edit:\n"
    "     FULFILLD_UPDATE_DOCS=1 ctest -R unit.settings -->\n\n"
    "fulfilld reads one INI file (`--config FILE`). `fulfilld print-config` prints all of it with\n"
    "defaults; [deploy/fulfilld.ini](../deploy/fulfilld.ini) is that text. `fulfilld check --config FILE`\n"
    "validates a file and tries every dependency it names.\n\n"
    "- **Keys** stand at the start of a line, `key = value`. Lines that begin with `#` or `;` are\n"
    "  comments; after a value, a `;` with a blank before it begins one. A list may go on on the\n"
    "  next line, indented.\n"
    "- **Durations** are `200ms`, `5s`, `10m`, `48h`, `90d`; **sizes** `512`, `64k`, `1m`.\n"
    "- **Environment**: each key outside `[modules]` and the named sections can be overridden as\n"
    "  `FULFILLD_<SECTION>_<KEY>`, for instance `FULFILLD_AMQP_URIS`. An empty variable is an empty\n"
    "  value.\n"
    "- **Secrets** stand in files of their own (`*_file`), so that they show neither in a process list\n"
    "  nor in the log. A line end at the end of such a file does not belong to the secret.\n"
    "- **Errors**: an unknown section or key, a key given twice, or a value that is not allowed is an\n"
    "  error that names file, line, key and what is allowed; fulfilld does not start (exit code 2).\n"
    "- **Reload**: SIGHUP reads the file again and replaces the workers one by one. A bad file is\n"
    "  refused, and the old settings stay in force. What says \"needs a restart\" changes only then.\n";

static const char markdown_modules[] =
    "\n## `[modules]`\n\n"
    "Product class = module. Names of classes keep their case and may hold blanks. A key here\n"
    "replaces the default of its class; an empty value takes it away. Lines of a class without module\n"
    "end with `Fulfillment Configuration Error`.\n\n"
    "| product class | default |\n| --- | --- |\n";

static const char markdown_named[] =
    "\n## `[upstream NAME]`\n\n"
    "A further HTTP API with its own credentials, limits and breaker. It takes the keys of `[lms]`;\n"
    "the breaker's defaults are those of `[breaker]`. NAME is made of a-z, digits, `_` and `-`.\n"
    "\n## `[module NAME]`\n\n"
    "A module of its own, made from a type; map product classes to its name in `[modules]`.\n\n"
    "| key | default | meaning |\n| --- | --- | --- |\n"
    "| `type` | NAME | a built-in module (`enrollment`, `entitlement`, `none`, `webhook`) or a plug-in |\n"
    "| `upstream` | `lms` | whose credentials, limits and breaker its calls use |\n"
    "| any other | – | handed to the module; see the module's own documentation |\n";

/* ---- the tables ---- */

/* Writes words as comment lines of bounded length. */
static void print_comment(FILE *out, const char *words)
{
    size_t column = 0;

    while (*words != '\0') {
        size_t length = strcspn(words, " ");

        if (column > 0 && column + 1 + length > COMMENT_COLUMNS) {
            (void)fputc('\n', out);
            column = 0;
        }
        (void)fprintf(out, "%s%.*s", column == 0 ? "# " : " ", (int)length, words);
        column += length + (column == 0 ? 2 : 1);
        words += length;
        words += strspn(words, " ");
    }
    (void)fputc('\n', out);
}

static void print_row(FILE *out, const struct config_row *row)
{
    char allowed[ALLOWED_BYTES], words[ALLOWED_BYTES + 80];

    config_value_allowed(row, allowed, sizeof(allowed));
    (void)snprintf(words, sizeof(words), "%c%s.%s", toupper((unsigned char)allowed[0]), allowed + 1,
                   row->reloadable ? "" : " Needs a restart.");
    (void)fputc('\n', out);
    print_comment(out, row->doc);
    print_comment(out, words);
    (void)fprintf(out, ";%s =%s%s\n", row->key, row->initial ? " " : "", row->initial ? row->initial : "");
}

void settings_print_reference(FILE *out)
{
    (void)fputs(ini_head, out);
    for (size_t i = 0; i < settings_table_section_count; i++) {
        const struct settings_section *section = &settings_table_sections[i];

        (void)fputs("\n\n", out);
        print_comment(out, section->doc);
        (void)fprintf(out, "[%s]\n", section->name);
        for (size_t j = 0; j < settings_table_count; j++) {
            if (strcmp(settings_table_rows[j].section, section->name) == 0)
                print_row(out, &settings_table_rows[j]);
        }
    }
    (void)fputs(ini_modules, out);
    for (size_t i = 0; i < settings_table_mapping_count; i++)
        (void)fprintf(out, ";%s = %s\n", settings_table_mappings[i].product_class,
                      settings_table_mappings[i].module);
    (void)fputs(ini_named, out);
}

/* A cell of a Markdown table: what would end it is escaped. */
static void print_cell(FILE *out, const char *words)
{
    for (; *words != '\0'; words++) {
        if (*words == '|' || *words == '<' || *words == '*')
            (void)fputc('\\', out);
        (void)fputc(*words, out);
    }
}

static void print_markdown_row(FILE *out, const struct config_row *row)
{
    char allowed[ALLOWED_BYTES];

    config_value_allowed(row, allowed, sizeof(allowed));
    if (row->initial)
        (void)fprintf(out, "| `%s` | `%s` | ", row->key, row->initial);
    else
        (void)fprintf(out, "| `%s` | – | ", row->key);
    print_cell(out, allowed);
    (void)fputs(" | ", out);
    print_cell(out, row->doc);
    (void)fputs(row->reloadable ? " |\n" : " Needs a restart. |\n", out);
}

void settings_print_markdown(FILE *out)
{
    (void)fputs(markdown_head, out);
    for (size_t i = 0; i < settings_table_section_count; i++) {
        const struct settings_section *section = &settings_table_sections[i];

        (void)fprintf(
            out, "\n## `[%s]`\n\n%s\n\n| key | default | allowed | meaning |\n| --- | --- | --- | --- |\n",
            section->name, section->doc);
        for (size_t j = 0; j < settings_table_count; j++) {
            if (strcmp(settings_table_rows[j].section, section->name) == 0)
                print_markdown_row(out, &settings_table_rows[j]);
        }
    }
    (void)fputs(markdown_modules, out);
    for (size_t i = 0; i < settings_table_mapping_count; i++)
        (void)fprintf(out, "| `%s` | `%s` |\n", settings_table_mappings[i].product_class,
                      settings_table_mappings[i].module);
    (void)fputs(markdown_named, out);
}
