/* common/config*.c: files into entries, values by their rows, and the words of every fault. */
#include "common/config.h"

#include "support/unit.h"

#include <stdio.h>

struct target {
    int64_t count, automatic, delay_ms, size_bytes, none;
    double rate;
    bool truth;
    char *text, *path, *list, *address;
    int choice;
};

#define FIELD(name) offsetof(struct target, name)

static const struct config_row rows[] = {
    {"a", "count", CONFIG_COUNT, "5", 1, 1000000, NULL, true, "", FIELD(count)},
    {"a", "processes", CONFIG_COUNT, "auto", 1, 10, "auto", true, "", FIELD(automatic)},
    {"a", "delay", CONFIG_DURATION, "5s", 1000, 3600000, NULL, true, "", FIELD(delay_ms)},
    {"a", "size", CONFIG_SIZE, "64k", 1, 1 << 20, NULL, true, "", FIELD(size_bytes)},
    {"a", "none", CONFIG_DURATION, NULL, 1, 1000, NULL, true, "", FIELD(none)},
    {"a", "rate", CONFIG_RATE, "0", 0, 100, NULL, true, "", FIELD(rate)},
    {"a", "truth", CONFIG_BOOLEAN, "yes", 0, 0, NULL, true, "", FIELD(truth)},
    {"a", "text", CONFIG_TEXT, NULL, 0, 10, NULL, true, "", FIELD(text)},
    {"a", "path", CONFIG_PATH, NULL, 0, 0, NULL, true, "", FIELD(path)},
    {"b", "list", CONFIG_LIST, "x,y", 0, 0, NULL, true, "", FIELD(list)},
    {"b", "address", CONFIG_ADDRESS, "127.0.0.1:1", 0, 0, NULL, true, "", FIELD(address)},
    {"b", "choice", CONFIG_CHOICE, "two", 0, 0, "one|two|three", true, "", FIELD(choice)},
};
static const struct config_named named[] = {{"other", "other NAME", "a"}, {"free", "free", NULL}};

/* Everything at once, as worker/settings.c does it. */
static enum err load(const char *text, struct target *target, struct fault *fault)
{
    struct config *config = NULL;
    enum err err = config_parse("f.ini", text, strlen(text), &config, fault);

    *target = (struct target){0};
    if (err == OK)
        err = config_apply(config, rows, ARRAY_LEN(rows), "a", "a", true, target, fault);
    if (err == OK)
        err = config_apply(config, rows, ARRAY_LEN(rows), "b", "b", true, target, fault);
    if (err == OK)
        err = config_check_unused(config, rows, ARRAY_LEN(rows), named, ARRAY_LEN(named), fault);
    config_free(config);
    return err;
}

static void expect_fault(const char *text, const char *words)
{
    struct target target;
    struct fault fault = {0};

    assert_int_equal(load(text, &target, &fault), ERR_CONFIG);
    assert_string_equal(fault.detail, words);
    config_clear(rows, ARRAY_LEN(rows), NULL, &target);
}

static void expect_good(const char *text, struct target *target)
{
    struct fault fault = {0};

    if (load(text, target, &fault) != OK)
        fail_msg("%s", fault.detail);
}

static void test_an_empty_file_means_the_defaults(void **state)
{
    struct target target;

    (void)state;
    expect_good("", &target);
    assert_int_equal(target.count, 5);
    assert_int_equal(target.automatic, 0);
    assert_int_equal(target.delay_ms, 5000);
    assert_int_equal(target.size_bytes, 65536);
    assert_int_equal(target.none, -1);
    assert_true(target.rate == 0);
    assert_true(target.truth);
    assert_null(target.text);
    assert_string_equal(target.list, "x,y");
    assert_string_equal(target.address, "127.0.0.1:1");
    assert_int_equal(target.choice, 1);
    config_clear(rows, ARRAY_LEN(rows), NULL, &target);
    assert_null(target.list);
}

static void test_values_are_what_was_written(void **state)
{
    struct target target;

    (void)state;
    expect_good("\xef\xbb\xbf# comment\n[a]\r\ncount=1000000\nprocesses = 3\ndelay = 10m ; inline\nsize: 1m\n"
                "none = 200ms\nrate = 2.5\ntruth = Off\ntext = a b=c\npath = /etc/x\n\n[b]\nlist = p, q,\n"
                "  r , s ; the last two\naddress = [::1]:9464\nchoice = THREE",
                &target);
    assert_int_equal(target.count, 1000000);
    assert_int_equal(target.automatic, 3);
    assert_int_equal(target.delay_ms, 600000);
    assert_int_equal(target.size_bytes, 1 << 20);
    assert_int_equal(target.none, 200);
    assert_true(target.rate == 2.5);
    assert_false(target.truth);
    assert_string_equal(target.text, "a b=c");
    assert_string_equal(target.path, "/etc/x");
    assert_string_equal(target.list, "p,q,r,s");
    assert_string_equal(target.address, "[::1]:9464");
    assert_int_equal(target.choice, 2);
    config_clear(rows, ARRAY_LEN(rows), NULL, &target);
}

static void test_empty_values_of_text_are_none(void **state)
{
    struct target target;

    (void)state;
    expect_good("[b]\nlist =\naddress =\n", &target);
    assert_null(target.list);
    assert_null(target.address);
    config_clear(rows, ARRAY_LEN(rows), NULL, &target);
}

struct bad_value {
    const char *text, *words;
};

static void test_every_value_out_of_range_says_what_is_allowed(void **state)
{
    static const struct bad_value bad[] = {
        {"[a]\n\ncount = 0", "f.ini:3: a.count = 0: expected an integer from 1 to 1000000"},
        {"[a]\ncount = 1000001", "f.ini:2: a.count = 1000001: expected an integer from 1 to 1000000"},
        {"[a]\ncount = 99999999999999999999",
         "f.ini:2: a.count = 99999999999999999999: expected an integer from 1 to 1000000"},
        {"[a]\ncount = -1", "f.ini:2: a.count = -1: expected an integer from 1 to 1000000"},
        {"[a]\ncount =", "f.ini:2: a.count = : expected an integer from 1 to 1000000"},
        {"[a]\nprocesses = all", "f.ini:2: a.processes = all: expected auto, or an integer from 1 to 10"},
        {"[a]\ndelay = 5",
         "f.ini:2: a.delay = 5: expected a duration from 1s to 1h, as in 200ms, 5s, 10m, 48h or 90d"},
        {"[a]\ndelay = 999ms",
         "f.ini:2: a.delay = 999ms: expected a duration from 1s to 1h, as in 200ms, 5s, 10m, 48h or 90d"},
        {"[a]\ndelay = 9999999999999999d",
         "f.ini:2: a.delay = 9999999999999999d: expected a duration from 1s to 1h, "
         "as in 200ms, 5s, 10m, 48h or 90d"},
        {"[a]\ndelay = 5 s",
         "f.ini:2: a.delay = 5 s: expected a duration from 1s to 1h, as in 200ms, 5s, 10m, 48h or 90d"},
        {"[a]\nsize = 2m", "f.ini:2: a.size = 2m: expected a size from 1 to 1m, as in 512, 64k or 1m"},
        {"[a]\nrate = 1e9", "f.ini:2: a.rate = 1e9: expected a number from 0 to 100"},
        {"[a]\nrate = 1.2.3", "f.ini:2: a.rate = 1.2.3: expected a number from 0 to 100"},
        {"[a]\ntruth = maybe", "f.ini:2: a.truth = maybe: expected yes or no"},
        {"[a]\ntext = 12345678901", "f.ini:2: a.text = 12345678901: expected text of at most 10 bytes"},
        {"[b]\nlist = a,,b", "f.ini:2: b.list = a,,b: expected items without blanks, separated by commas"},
        {"[b]\nlist = a b", "f.ini:2: b.list = a b: expected items without blanks, separated by commas"},
        {"[b]\nchoice = four", "f.ini:2: b.choice = four: expected one, two or three"},
        {"[b]\naddress = 9464",
         "f.ini:2: b.address = 9464: expected HOST:PORT, as in 127.0.0.1:9464 or [::1]:9464"},
        {"[b]\naddress = ::1:9464",
         "f.ini:2: b.address = ::1:9464: expected HOST:PORT, as in 127.0.0.1:9464 or [::1]:9464"},
        {"[b]\naddress = h:65536",
         "f.ini:2: b.address = h:65536: expected HOST:PORT, as in 127.0.0.1:9464 or [::1]:9464"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        expect_fault(bad[i].text, bad[i].words);
}

static void test_unknown_names_suggest_the_nearest(void **state)
{
    (void)state;
    expect_fault(
        "[a]\ncuont = 1",
        "f.ini:2: a.cuont = 1: unknown key; did you mean count? Known are count, processes, delay, size, "
        "none, rate, truth, text, path");
    expect_fault("[b]\nzzzzzzzz = 1",
                 "f.ini:2: b.zzzzzzzz = 1: unknown key; known are list, address, choice");
    expect_fault(
        "[other x]\ntxet = 1",
        "f.ini:2: other x.txet = 1: unknown key; did you mean text? Known are count, processes, delay, "
        "size, none, rate, truth, text, path");
    expect_fault(
        "[oter]\n",
        "f.ini:1: [oter]: unknown section; did you mean other NAME? Known are a, b, other NAME, free");
    expect_fault("[something]\nx = 1",
                 "f.ini:1: [something]: unknown section; known are a, b, other NAME, free");
}

static void test_what_is_no_ini_names_its_line(void **state)
{
    (void)state;
    expect_fault("[a]\nwhat\n", "f.ini:2: expected \"key = value\", \"[section]\", or a comment after \"#\"");
    expect_fault("[a\n", "f.ini:1: expected \"key = value\", \"[section]\", or a comment after \"#\"");
    expect_fault("x = 1\n", "f.ini:1: a key stands before any [section]");
    expect_fault("[a]\n= 1\n", "f.ini:2: a key is missing before the \"=\"");
    expect_fault("[a]\ncount = 1\n[b]\n[a]\ncount = 2\n", "f.ini:5: a.count is given twice, first on line 2");
    expect_fault(
        "[a]\ncount = 1\n  delay = 5s\n",
        "f.ini:2: a.count = 1 delay = 5s: goes on on line 3, which begins with a blank; only lists may");
    expect_fault("[a]\ntext = \xff\n", "f.ini: is not UTF-8 text");
}

/* "[b]\nlist = ", `count` letters, then the tail. */
static char *long_line(size_t count, const char *tail)
{
    static char text[4000];

    snprintf(text, sizeof(text), "[b]\nlist = %0*d%s", (int)count, 0, tail);
    return text;
}

static void test_a_line_may_be_as_long_as_its_value(void **state)
{
    static const size_t counts[] = {1, 189, 190, 191, 192, 193, 400, 1900};
    static const char *const tails[] = {"", "\r\n", " ; a comment", "\n    ; a comment\n# another\n"};
    struct target target;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(counts) * ARRAY_LEN(tails); i++) {
        expect_good(long_line(counts[i / ARRAY_LEN(tails)], tails[i % ARRAY_LEN(tails)]), &target);
        assert_int_equal(strlen(target.list), counts[i / ARRAY_LEN(tails)]);
        config_clear(rows, ARRAY_LEN(rows), NULL, &target);
    }
}

static void test_a_long_line_is_cut_beside_no_blank(void **state)
{
    struct target target;

    (void)state;
    for (size_t count = 180; count < 200; count++) {
        expect_good(long_line(count, ";y,z ; a;comment ; z"), &target);
        assert_string_equal(target.list + count, ";y,z");
        config_clear(rows, ARRAY_LEN(rows), NULL, &target);
    }
}

static void test_a_long_comment_is_one(void **state)
{
    char text[400] = "[b]\nlist = x ; ";
    struct target target;

    (void)state;
    memset(text + strlen(text), 'y', 300);
    expect_good(text, &target);
    assert_string_equal(target.list, "x");
    config_clear(rows, ARRAY_LEN(rows), NULL, &target);
    text[0] = '#';
    memset(text + 1, 'z', 300);
    text[301] = '\0';
    expect_good(text, &target);
    config_clear(rows, ARRAY_LEN(rows), NULL, &target);
}

static void test_blanks_without_end_are_no_line(void **state)
{
    char text[400] = "[b]\n";

    (void)state;
    memset(text + strlen(text), ' ', 300);
    expect_fault(text, "f.ini:2: the line is too long");
}

static void test_the_environment_wins_and_is_named_in_faults(void **state)
{
    struct target target;

    (void)state;
    setenv("FULFILLD_A_COUNT", "7", 1);
    setenv("FULFILLD_B_ADDRESS", "", 1);
    expect_good("[a]\ncount = 3\n", &target);
    assert_int_equal(target.count, 7);
    assert_null(target.address);
    config_clear(rows, ARRAY_LEN(rows), NULL, &target);
    setenv("FULFILLD_A_COUNT", "many", 1);
    expect_fault("", "environment FULFILLD_A_COUNT = many (a.count): expected an integer from 1 to 1000000");
    unsetenv("FULFILLD_A_COUNT");
    unsetenv("FULFILLD_B_ADDRESS");
}

static void test_passwords_in_urls_are_hidden(void **state)
{
    char out[80];

    (void)state;
    config_value_redact("amqp://guest:gu:e@st@host:5672/,amqp://x:y@other", out, sizeof(out));
    assert_string_equal(out, "amqp://***@other");
    config_value_redact("https://host/path", out, sizeof(out));
    assert_string_equal(out, "https://host/path");
    expect_fault("[a]\ncount = amqp://u:secret@h",
                 "f.ini:2: a.count = amqp://***@h: expected an integer from 1 to 1000000");
}

static void test_a_file_that_cannot_be_read_is_named(void **state)
{
    char *text = NULL;
    size_t length;
    struct fault fault;

    (void)state;
    assert_int_equal(config_read_file("/nonexistent/x.ini", &text, &length, &fault), ERR_CONFIG);
    assert_string_equal(fault.detail, "/nonexistent/x.ini: cannot be opened: No such file or directory");
    assert_int_equal(config_read_file("/", &text, &length, &fault), ERR_CONFIG);
    assert_string_equal(fault.detail, "/: cannot be read: Is a directory");
    assert_int_equal(config_read_file("/dev/zero", &text, &length, &fault), ERR_CONFIG);
    assert_string_equal(fault.detail, "/dev/zero: larger than 1 MiB");
    assert_null(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_file_means_the_defaults),
        cmocka_unit_test(test_values_are_what_was_written),
        cmocka_unit_test(test_empty_values_of_text_are_none),
        cmocka_unit_test(test_every_value_out_of_range_says_what_is_allowed),
        cmocka_unit_test(test_unknown_names_suggest_the_nearest),
        cmocka_unit_test(test_what_is_no_ini_names_its_line),
        cmocka_unit_test(test_a_line_may_be_as_long_as_its_value),
        cmocka_unit_test(test_a_long_line_is_cut_beside_no_blank),
        cmocka_unit_test(test_a_long_comment_is_one),
        cmocka_unit_test(test_blanks_without_end_are_no_line),
        cmocka_unit_test(test_the_environment_wins_and_is_named_in_faults),
        cmocka_unit_test(test_passwords_in_urls_are_hidden),
        cmocka_unit_test(test_a_file_that_cannot_be_read_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
