/* Plug-ins: which are loaded, and what becomes of a line whose module does not keep its promises. */
#include "fakes/fake_http.h"
#include "fakes/fake_loop.h"
#include "support/line_kit.h"
#include "support/unit.h"

#include <stdio.h>
#include <sys/stat.h>

static const char *plugins; /* directory of directories */
static struct line_kit kit;

static const char thing[] =
    "{\"schema\":\"fulfillment.order/1\",\"action\":\"fulfill\",\"order_number\":\"E-1\","
    "\"lines\":[{\"id\":1,\"product_class\":\"Thing\"}]}";

static int close_kit(void **state)
{
    (void)state;
    line_kit_close(&kit);
    return 0;
}

static void open_kit(const char *plugin, const char *does, const char *more)
{
    char text[1024];

    snprintf(text, sizeof(text),
             "%s%s[plugins]\ndirectory = %s/%s\n[modules]\nThing = %s\n[module %s]\ndoes = %s\n",
             LINE_KIT_LMS, more, plugins, plugin, plugin, plugin, does);
    line_kit_open(&kit, text, NULL);
    line_kit_message(&kit, thing);
}

/* ---- loading ---- */

static void refuse(const char *plugin, const char *words)
{
    struct loop *loop = loop_new();
    struct settings *settings;
    struct fault fault;
    char text[512];

    snprintf(text, sizeof(text), "[lms]\nbase_url = http://lms.example.org\n[plugins]\ndirectory = %s/%s\n",
             plugins, plugin);
    settings = settings_load_text("test.ini", text, strlen(text), &fault);
    if (!settings)
        fail_msg("%s", fault.detail);
    assert_null(module_host_new(loop, settings, NULL, 0, &fault));
    assert_int_equal(fault.code, ERR_CONFIG);
    if (!strstr(fault.detail, words))
        fail_msg("\"%s\" does not say \"%s\"", fault.detail, words);
    settings_free(settings);
    loop_free(loop);
}

static void test_a_key_that_its_module_refuses_is_a_mistake_of_the_file(void **state)
{
    static const char text[] =
        "[lms]\nbase_url = http://lms.example.org\n[module hook]\npoll = maybe\ntype = webhook\n";
    struct loop *loop = loop_new();
    struct fault fault;
    struct settings *settings = settings_load_text("test.ini", text, strlen(text), &fault);

    (void)state;
    assert_non_null(settings);
    assert_null(module_host_new(loop, settings, NULL, 0, &fault));
    assert_string_equal(fault.detail, "line 4: [module hook]: poll = maybe: expected yes or no");
    settings_free(settings);
    loop_free(loop);
}

static void test_a_newer_plug_in_is_refused_with_a_sentence(void **state)
{
    (void)state;
    refuse("newer", "built for plug-in interface 2, this fulfilld has 1");
}

static void test_what_is_no_plug_in_is_refused(void **state)
{
    (void)state;
    refuse("ageless", "abi 0");
    refuse("stunted", "size 16");
    refuse("unnamed", "expected a name");
    refuse("twin", "there is a module enrollment already");
    refuse("unwilling", "refuses to be loaded");
    refuse("mute", "does not export fulfill_module_entry");
    refuse("nowhere", "nowhere");
}

static void test_a_plug_in_that_anybody_may_write_is_refused(void **state)
{
    char path[512];

    (void)state;
    snprintf(path, sizeof(path), "%s/misbehave/misbehave.so", plugins);
    assert_int_equal(chmod(path, 0777), 0);
    refuse("misbehave", "others must not be able to write");
    assert_int_equal(chmod(path, 0755), 0);
}

static void test_an_older_plug_in_keeps_working(void **state)
{
    (void)state;
    open_kit("older", "x", "");
    const struct line_outcome *outcome = line_kit_run(&kit);
    assert_int_equal(outcome->state, LINE_COMPLETE);
    assert_null(outcome->result_json);
    close_kit(NULL);
}

/* ---- misbehaving ---- */

static const struct line_outcome *run(const char *does)
{
    open_kit("misbehave", does, "");
    return line_kit_run(&kit);
}

static void expect(const struct line_outcome *outcome, enum line_state state, const char *reason)
{
    assert_int_equal(outcome->state, state);
    assert_string_equal(outcome->reason, reason);
}

static void test_a_module_that_never_finishes_is_given_up(void **state)
{
    (void)state;
    const struct line_outcome *outcome = run("nothing");
    expect(outcome, LINE_FAILED, "module_error");
    assert_int_equal(outcome->decision, FULFILL_RETRY);
    assert_true(outcome->look_first);
}

static void test_nonsense_is_a_module_error(void **state)
{
    static const char *const kinds[] = {"nonsense decision", "nonsense status", "nonsense json", "no result"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        expect(run(kinds[i]), LINE_FINAL, "module_error");
        line_kit_close(&kit);
    }
    open_kit("misbehave", "wait", ""); /* for the teardown */
}

static void test_a_second_finish_is_ignored(void **state)
{
    (void)state;
    fake_http_respond("POST", "/thing", 500, "");
    expect(run("twice"), LINE_COMPLETE, "");
    assert_string_equal(kit.outcome.result_json, "{\"key\":\"K-1\"}");
}

static void test_answers_are_judged_by_the_hosts_table(void **state)
{
    (void)state;
    fake_http_respond("POST", "/thing", 503, "{\"message\":\"busy\"}");
    expect(run("post"), LINE_FAILED, "server_error");
    assert_true(kit.outcome.look_first);
    assert_string_equal(kit.outcome.message, "busy");
}

static void test_a_foreign_reason_and_bad_text_are_repaired(void **state)
{
    (void)state;
    expect(run("own words"), LINE_FINAL, "module_error");
    assert_string_equal(kit.outcome.message, "bell  and \xef\xbf\xbd");
}

static void test_a_line_that_the_module_does_not_take_has_no_module(void **state)
{
    (void)state;
    expect(run("refuse"), LINE_FINAL, "no_module");
}

static void test_a_module_may_wait(void **state)
{
    (void)state;
    expect(run("wait"), LINE_COMPLETE, "");
}

static void test_several_exchanges_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        fake_http_respond("GET", "/thing", 200, "");
    expect(run("several"), LINE_COMPLETE, "");
    assert_int_equal(fake_http_request_count(), 3);
}

static void test_what_a_finish_leaves_under_way_is_cancelled(void **state)
{
    (void)state;
    fake_http_ignore("POST", "/thing");
    expect(run("post and forget"), LINE_COMPLETE, "");
}

static void test_a_run_that_is_cancelled_under_way_looks_first_next_time(void **state)
{
    (void)state;
    fake_http_ignore("POST", "/thing");
    open_kit("misbehave", "post", "");
    line_kit_start(&kit);
    assert_false(kit.done);
    line_run_cancel(&kit.run);
    assert_false(kit.done); /* later */
    fake_loop_settle(kit.loop);
    assert_true(kit.done);
    assert_int_equal(kit.outcome.state, LINE_OPEN);
    assert_false(kit.outcome.ran);
    assert_true(kit.outcome.look_first);
}

static void test_a_run_that_is_cancelled_before_it_was_sent_does_not(void **state)
{
    (void)state;
    open_kit("misbehave", "wait", "");
    line_kit_start(&kit);
    line_run_cancel(&kit.run);
    fake_loop_settle(kit.loop);
    assert_true(kit.done);
    assert_false(kit.outcome.look_first);
}

static void test_a_deadline_in_the_middle_of_an_exchange(void **state)
{
    (void)state;
    fake_http_ignore("POST", "/thing");
    kit.run.timeout_ms = 1000;
    expect(run("post"), LINE_FAILED, "module_error");
    assert_true(kit.outcome.look_first);
}

#define TEST(name) cmocka_unit_test_teardown(name, close_kit)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_that_its_module_refuses_is_a_mistake_of_the_file),
        cmocka_unit_test(test_a_newer_plug_in_is_refused_with_a_sentence),
        cmocka_unit_test(test_what_is_no_plug_in_is_refused),
        cmocka_unit_test(test_a_plug_in_that_anybody_may_write_is_refused),
        cmocka_unit_test(test_an_older_plug_in_keeps_working),
        TEST(test_a_module_that_never_finishes_is_given_up),
        TEST(test_nonsense_is_a_module_error),
        TEST(test_a_second_finish_is_ignored),
        TEST(test_answers_are_judged_by_the_hosts_table),
        TEST(test_a_foreign_reason_and_bad_text_are_repaired),
        TEST(test_a_line_that_the_module_does_not_take_has_no_module),
        TEST(test_a_module_may_wait),
        TEST(test_several_exchanges_at_once),
        TEST(test_what_a_finish_leaves_under_way_is_cancelled),
        TEST(test_a_run_that_is_cancelled_under_way_looks_first_next_time),
        TEST(test_a_run_that_is_cancelled_before_it_was_sent_does_not),
        TEST(test_a_deadline_in_the_middle_of_an_exchange),
    };

    if (argc < 2)
        return 2;
    plugins = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
