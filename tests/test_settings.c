/*
 * worker/settings*.c: the settings as fields, named sections, checks across keys, secrets, and the two
 * documents made from the table. The argument is the project's folder.
 */
#include "common/config.h"
#include "common/log.h"
#include "worker/settings.h"

#include "support/unit.h"

#include <stdio.h>
#include <unistd.h>

static const char *project_folder = ".";

static struct settings *load(const char *text)
{
    struct fault fault = {0};
    struct settings *settings = settings_load_text("f.ini", text, strlen(text), &fault);

    if (!settings)
        fail_msg("%s", fault.detail);
    return settings;
}

static void expect_fault(const char *text, const char *words)
{
    struct fault fault = {0};
    struct settings *settings = settings_load_text("f.ini", text, strlen(text), &fault);

    assert_null(settings);
    assert_int_equal(fault.code, ERR_CONFIG);
    assert_string_equal(fault.detail, words);
}

static void test_the_defaults_are_those_of_the_reference(void **state)
{
    struct settings *settings = load("[lms]\nbase_url = https://lms.example.org/\n");
    const struct upstream_settings *lms = &settings->upstreams[0];

    (void)state;
    assert_string_equal(settings->amqp_uris, "amqp://guest:guest@127.0.0.1:5672/%2F");
    assert_true(settings->amqp_declare && settings->amqp_tls_verify);
    assert_int_equal(settings->amqp_heartbeat_ms, 10000);
    assert_string_equal(settings->redis_prefix, "fulfillment:");
    assert_true(settings->redis_keep_ms == INT64_C(90) * 86400000);
    assert_int_equal(settings->worker_processes, 0);
    assert_int_equal(settings->worker_lease_ms, 15000);
    assert_int_equal(settings->retry_max_attempts, 40);
    assert_int_equal(settings->log_level, LOG_LEVEL_INFO);
    assert_int_equal(settings->log_format, LOG_FORMAT_JSON);
    assert_string_equal(settings->http_listen, "127.0.0.1:9464");
    assert_null(settings->plugins_directory);
    assert_int_equal(settings->upstream_count, 1);
    assert_string_equal(lms->name, "lms");
    assert_string_equal(lms->base_url, "https://lms.example.org"); /* paths follow */
    assert_int_equal(lms->timeout_ms, 7000);
    assert_int_equal(lms->breaker_failures, 20);
    assert_int_equal(lms->breaker_max_open_for_ms, 300000);
    assert_true(lms->send_sku);
    assert_ptr_equal(settings_upstream(settings, "lms"), lms);
    assert_null(settings_upstream(settings, "none"));
    settings_free(settings);
}

static void test_log_words_are_in_the_order_of_their_enums(void **state)
{
    struct settings *settings = load("[lms]\nbase_url=http://l\n[log]\nlevel = error\nformat = text\n");

    (void)state;
    assert_int_equal(settings->log_level, LOG_LEVEL_ERROR);
    assert_int_equal(settings->log_format, LOG_FORMAT_TEXT);
    settings_free(settings);
}

static void test_product_classes_map_to_modules(void **state)
{
    struct settings *settings =
        load("[lms]\nbase_url=http://l\n[modules]\nCourse Entitlement = none\nCertificate = certificates\n"
             "Coupon =\n[module certificates]\ntype = webhook\nurl = https://p\n");

    (void)state;
    assert_string_equal(settings_module_for(settings, "Seat"), "enrollment");
    assert_string_equal(settings_module_for(settings, "Course Entitlement"), "none");
    assert_string_equal(settings_module_for(settings, "Certificate"), "certificates");
    assert_null(settings_module_for(settings, "Coupon"));
    assert_null(settings_module_for(settings, "seat"));
    assert_int_equal(settings->module_count, 1);
    assert_string_equal(settings->modules[0].type, "webhook");
    assert_int_equal(settings->modules[0].pair_count, 1);
    assert_string_equal(settings_module_value(&settings->modules[0], "url"), "https://p");
    assert_null(settings_module_value(&settings->modules[0], "type"));
    settings_free(settings);
}

static void test_upstreams_have_keys_of_their_own_and_the_breakers_defaults(void **state)
{
    struct settings *settings =
        load("[lms]\nbase_url=http://l\n[upstream partner]\nbase_url = https://p/api//\n"
             "max_requests_per_second = 2.5\nbreaker_failures = 3\n[breaker]\nopen_for = 1s\n");
    const struct upstream_settings *partner = settings_upstream(settings, "partner");

    (void)state;
    assert_non_null(partner);
    assert_string_equal(partner->base_url, "https://p/api");
    assert_true(partner->max_requests_per_second == 2.5);
    assert_int_equal(partner->breaker_failures, 3);
    assert_int_equal(partner->breaker_open_for_ms, 1000);
    assert_int_equal(settings->upstreams[0].breaker_failures, 20);
    settings_free(settings);
}

static void test_the_environment_reaches_lms_but_no_named_section(void **state)
{
    struct settings *settings;

    (void)state;
    setenv("FULFILLD_LMS_BASE_URL", "http://from-environment", 1);
    setenv("FULFILLD_UPSTREAM_PARTNER_BASE_URL", "http://never", 1);
    settings = load("[upstream partner]\n");
    assert_string_equal(settings->upstreams[0].base_url, "http://from-environment");
    assert_null(settings_upstream(settings, "partner")->base_url);
    settings_free(settings);
    unsetenv("FULFILLD_LMS_BASE_URL");
    unsetenv("FULFILLD_UPSTREAM_PARTNER_BASE_URL");
}

static void test_a_value_of_the_environment_is_told_as_such(void **state)
{
    (void)state;
    setenv("FULFILLD_LMS_BASE_URL", "ftp://user:secret@host", 1);
    expect_fault(
        "[lms]\nbase_url = http://well",
        "environment FULFILLD_LMS_BASE_URL (lms.base_url): expected http:// or https://, a host, no query");
    unsetenv("FULFILLD_LMS_BASE_URL");
    setenv("FULFILLD_AMQP_URIS", "amqp://host:99999", 1);
    expect_fault(
        "[lms]\nbase_url = http://well",
        "environment FULFILLD_AMQP_URIS (amqp.uris): broker address \"amqp://host:99999\": the port must be "
        "1..65535; allowed is amqp[s]://[user:password@]host[:port][/vhost]");
    unsetenv("FULFILLD_AMQP_URIS");
}

static void test_the_lms_is_required_only_when_a_module_in_use_needs_it(void **state)
{
    (void)state;
    expect_fault("",
                 "f.ini: lms.base_url is required, since products of class \"Seat\" go to module enrollment; "
                 "as in base_url = https://lms.example.org");
    expect_fault(
        "[modules]\nSeat=none\nCourse Entitlement = mine\n[upstream u]\n[module "
        "mine]\ntype=entitlement\nupstream=u\n",
        "f.ini: upstream u.base_url is required, since products of class \"Course Entitlement\" go to module "
        "mine; as in base_url = https://lms.example.org");
    settings_free(load("[modules]\nSeat = none\nCourse Entitlement =\n"));
}

struct bad_settings {
    const char *text, *words;
};

static void test_what_does_not_fit_together_is_refused(void **state)
{
    static const struct bad_settings bad[] = {
        {"[amqp]\nuris = amqp://u:p@a,http://b",
         "f.ini:2: amqp.uris = amqp://***@a,http://b: expected URIs that begin with amqp:// or amqps://"},
        {"[amqp]\nuris =", "f.ini:2: amqp.uris = : expected one URI or more"},
        {"[amqp]\npassword_file = /x", "f.ini:2: amqp.password_file = /x: amqp.username is missing"},
        {"[amqp]\ntls_key_file = /x",
         "f.ini:2: amqp.tls_key_file = /x: tls_cert_file and tls_key_file go together"},
        {"[amqp]\nmanagement_uri = amqp://x",
         "f.ini:2: amqp.management_uri = amqp://x: expected http:// or https:// and a host"},
        {"[redis]\nuri = 127.0.0.1:6379",
         "f.ini:2: redis.uri = 127.0.0.1:6379: expected redis:// or redis+unix:// and where it is"},
        {"[redis]\nuri = redis://h/x",
         "f.ini:2: redis.uri: Redis URI: the database must be a number from 0; allowed: "
         "redis://[user[:password]@]host[:port][/db] or redis+unix:///path[?db=N]"},
        {"[amqp]\nuris = amqp://u:p@h:0/",
         "f.ini:2: amqp.uris: broker address \"h:0/\": the port must be 1..65535; allowed is "
         "amqp[s]://[user:password@]host[:port][/vhost]"},
        {"[lms]\nbase_url = https://u:p@h",
         "f.ini:2: lms.base_url = https://***@h: expected no login: credentials stand in files"},
        {"[redis]\nprefix = a{b}",
         "f.ini:2: redis.prefix = a{b}: expected no { or }: they are the hash tag of an order"},
        {"[lms]\nbase_url = lms.example.org",
         "f.ini:2: lms.base_url = lms.example.org: expected http:// or https://, a host, no query"},
        {"[lms]\nbase_url = https://u:p@h/?q",
         "f.ini:2: lms.base_url = https://***@h/?q: expected http:// or https://, a host, no query"},
        {"[lms]\noauth_client_id = x",
         "f.ini: lms.oauth_token_url: is missing: oauth_token_url, oauth_client_id and "
         "oauth_client_secret_file go together"},
        {"[worker]\nlease = 20s",
         "f.ini:2: worker.lease = 20s: expected a duration from 1s to 15s, as in 200ms, 5s, "
         "10m, 48h or 90d"},
        {"[worker]\nmax_memory = 63m", "f.ini:2: worker.max_memory = 63m: expected 64m or more, or 0"},
        {"[upstream Lms]\n",
         "f.ini:1: [upstream Lms]: expected a name of at most 40 letters a-z, digits, _ and -, not "
         "lms (it has its own section)"},
        {"[upstream lms]\n",
         "f.ini:1: [upstream lms]: expected a name of at most 40 letters a-z, digits, _ and -, not "
         "lms (it has its own section)"},
        {"[upstream]\n", "f.ini:1: [upstream]: unknown section; did you mean upstream NAME? Known are amqp, "
                         "redis, worker, retry, breaker, "
                         "http, log, plugins, lms, upstream NAME, module NAME, modules"},
        {"[module m]\nupstream = nowhere\n",
         "f.ini:2: module m.upstream = nowhere: expected lms or the NAME of an [upstream NAME] section"},
        {"[lms]\nbase_ulr = http://x",
         "f.ini:2: lms.base_ulr = http://x: unknown key; did you mean base_url? Known are base_url, "
         "api_key_file, oauth_token_url, oauth_client_id, oauth_client_secret_file, ca_file, "
         "connect_timeout, timeout, …"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        expect_fault(bad[i].text, bad[i].words);
}

/* ---- secrets ---- */

static enum err read_secret(const char *bytes, size_t length, char **secret, struct fault *fault)
{
    char path[] = "/tmp/test_settings_XXXXXX";
    int fd = mkstemp(path);
    enum err err;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), (ssize_t)length);
    close(fd);
    err = settings_read_secret(path, secret, fault);
    unlink(path);
    return err;
}

static void test_a_secret_loses_only_the_line_end_at_its_end(void **state)
{
    struct fault fault;
    char *secret = NULL;

    (void)state;
    assert_int_equal(read_secret(" s3 cr\net \r\n\n", 13, &secret, &fault), OK);
    assert_string_equal(secret, " s3 cr\net ");
    free(secret);
}

static void test_a_secret_that_cannot_be_right_is_refused_without_showing_it(void **state)
{
    static char large[SETTINGS_SECRET_MAX_BYTES + 1];
    struct fault fault;
    char *secret = NULL;

    (void)state;
    memset(large, 'x', sizeof(large));
    assert_int_equal(read_secret("\n", 1, &secret, &fault), ERR_CONFIG);
    assert_non_null(strstr(fault.detail, "is empty"));
    assert_int_equal(read_secret("hunter\0two", 10, &secret, &fault), ERR_CONFIG);
    assert_non_null(strstr(fault.detail, "holds a NUL byte"));
    assert_null(strstr(fault.detail, "hunter"));
    assert_int_equal(read_secret(large, sizeof(large), &secret, &fault), ERR_CONFIG);
    assert_non_null(strstr(fault.detail, "is larger than 64 KiB"));
    assert_int_equal(settings_read_secret("/nonexistent/secret", &secret, &fault), ERR_CONFIG);
    assert_string_equal(fault.detail, "secret file /nonexistent/secret: No such file or directory");
    assert_null(secret);
}

/* ---- documents ---- */

static char *print(void (*printer)(FILE *))
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);

    assert_non_null(out);
    printer(out);
    assert_int_equal(fclose(out), 0);
    return text;
}

/* The file is what the program prints. FULFILLD_UPDATE_DOCS=1 writes it instead. */
static void compare_with_file(void (*printer)(FILE *), const char *name)
{
    char path[4096], *printed = print(printer), *written = NULL;
    struct fault fault = {0};
    size_t length = 0;

    assert_true(snprintf(path, sizeof(path), "%s/%s", project_folder, name) < (int)sizeof(path));
    if (getenv("FULFILLD_UPDATE_DOCS")) {
        FILE *file = fopen(path, "w");

        assert_non_null(file);
        assert_true(fputs(printed, file) >= 0);
        assert_int_equal(fclose(file), 0);
    }
    if (config_read_file(path, &written, &length, &fault) != OK)
        fail_msg("%s", fault.detail);
    if (strcmp(printed, written) != 0)
        fail_msg("%s is not what the program prints: run FULFILLD_UPDATE_DOCS=1 ctest -R unit.settings",
                 name);
    free(printed);
    free(written);
}

static void test_the_documents_are_what_the_program_prints(void **state)
{
    (void)state;
    compare_with_file(settings_print_reference, "deploy/fulfilld.ini");
    compare_with_file(settings_print_markdown, "docs/configuration.md");
}

/* With every ";" before a key taken away, the reference is a file that loads, but for what only the user
 * knows. */
static void test_the_reference_loads_when_its_keys_are_uncommented(void **state)
{
    char *text = print(settings_print_reference);
    size_t length = 0;

    (void)state;
    for (const char *at = text; *at != '\0'; at++) {
        if (*at != ';' || at == text || at[-1] != '\n')
            text[length++] = *at;
    }
    text[length] = '\0';
    setenv("FULFILLD_LMS_BASE_URL", "http://lms", 1);
    settings_free(load(text));
    unsetenv("FULFILLD_LMS_BASE_URL");
    expect_fault(text,
                 "f.ini: lms.base_url is required, since products of class \"Seat\" go to module enrollment; "
                 "as in base_url = https://lms.example.org");
    free(text);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_defaults_are_those_of_the_reference),
        cmocka_unit_test(test_log_words_are_in_the_order_of_their_enums),
        cmocka_unit_test(test_product_classes_map_to_modules),
        cmocka_unit_test(test_upstreams_have_keys_of_their_own_and_the_breakers_defaults),
        cmocka_unit_test(test_the_environment_reaches_lms_but_no_named_section),
        cmocka_unit_test(test_a_value_of_the_environment_is_told_as_such),
        cmocka_unit_test(test_the_lms_is_required_only_when_a_module_in_use_needs_it),
        cmocka_unit_test(test_what_does_not_fit_together_is_refused),
        cmocka_unit_test(test_a_secret_loses_only_the_line_end_at_its_end),
        cmocka_unit_test(test_a_secret_that_cannot_be_right_is_refused_without_showing_it),
        cmocka_unit_test(test_the_documents_are_what_the_program_prints),
        cmocka_unit_test(test_the_reference_loads_when_its_keys_are_uncommented),
    };

    if (argc > 1)
        project_folder = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
