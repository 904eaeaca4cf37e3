/*
 * The ledger against a model: random orders, deliveries, crashes at every step, duplicates, stripped headers,
 * people's words and flushes, with a small broker and small workers played here. What must hold whatever
 * happens is asserted as it happens; at the end all faults stop and nothing may have been lost.
 *
 * A failure names its seed: contract_ledger_model SEED runs that one again.
 */
#include "tests/support/ledger_bench.h"

#include <stdio.h>

enum {
    ORDERS = 6,
    LINES = 3,
    MAX_COPIES = 400,
    MAX_RUNS = 64,
    STEPS = 400,
    ROUNDS = 60,
    DRAIN_STEPS = 1000000,
    STORY_BYTES = 32768
};

enum place { GONE, QUEUED, HELD }; /* in the broker; unacked at a worker */

struct copy {
    enum place place;
    size_t order;
    struct copy_facts facts;
    char message_id[24];
    char finished[256];
    int64_t not_before_ms; /* in a retry queue until then */
};

enum { NO_COPY = -1 };

struct run {
    bool active;
    bool dead; /* its process is gone; its lease is not, yet */
    size_t order;
    int copy; /* what it holds unacked */
    char message_id[24];
    struct seen seen;
};

struct truth {
    struct item item;
    bool finished[LINES]; /* recorded as finished */
    int64_t last_fence, last_generation, last_attempts;
    int words;
    bool flushed;    /* Redis has forgotten it at least once */
    int dead_copies; /* in the dead queue */
    int64_t dead_generation;
    bool done;
    char story[STORY_BYTES]; /* what befell it, for a failure */
    size_t story_length;
};

static struct {
    uint64_t random;
    struct copy copies[MAX_COPIES];
    struct run runs[MAX_RUNS];
    struct truth orders[ORDERS];
    bool calm; /* no more faults */
    bool may_flush, may_strip;
    int serial;
} world;

static uint32_t roll(uint32_t sides)
{
    world.random = world.random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(world.random >> 33) % sides;
}

static bool chance(uint32_t percent)
{
    return !world.calm && roll(100) < percent;
}

static void note(size_t order, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(size_t order, const char *format, ...)
{
    struct truth *truth = &world.orders[order];
    size_t room = sizeof(truth->story) - truth->story_length;
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(truth->story + truth->story_length, room, format, args);
    va_end(args);
    if (length > 0 && (size_t)length < room)
        truth->story_length += (size_t)length;
}

static struct copy *new_copy(size_t order, const char *message_id, struct copy_facts facts)
{
    for (size_t i = 0; i < MAX_COPIES; i++) {
        struct copy *copy = &world.copies[i];

        if (copy->place != GONE)
            continue;
        *copy = (struct copy){QUEUED, order, facts, "", "", 0};
        snprintf(copy->message_id, sizeof(copy->message_id), "%s", message_id);
        snprintf(copy->finished, sizeof(copy->finished), "%s", facts.finished ? facts.finished : "");
        return copy;
    }
    fail_msg("the model's broker is full");
    return NULL;
}

/* The decision as the model stores it: kind, generation, attempts, waits, due, finished lines. */
struct step {
    char kind;
    long long generation, attempts, waits, due_ms;
    char finished[256];
};

static struct step read_step(const char *decision)
{
    struct step step = {0};

    assert_int_equal(sscanf(decision, "%c %lld %lld %lld %lld %255s", &step.kind, &step.generation,
                            &step.attempts, &step.waits, &step.due_ms, step.finished),
                     6);
    return step;
}

/* Publishes what a decision asks for, and marks it, unless a crash comes in between. False: crashed. */
static bool publish_step(size_t index, const char *message_id, const char *decision)
{
    struct truth *truth = &world.orders[index];
    struct step step = read_step(decision);

    if (step.kind == 'c')
        return !chance(5);
    if (chance(5)) {
        note(index, "nothing published\n");
        return false;
    }
    if (step.kind == 'r') {
        new_copy(index, message_id,
                 (struct copy_facts){.generation = step.generation,
                                     .attempts = step.attempts,
                                     .due_ms = step.due_ms,
                                     .first_ms = 1,
                                     .finished = step.finished});
    } else {
        truth->dead_copies++;
        if (step.generation > truth->dead_generation)
            truth->dead_generation = step.generation;
    }
    if (chance(5)) {
        note(index, "published, not marked\n");
        return false;
    }
    assert_int_equal(bench_mark(&truth->item, step.generation, step.attempts, step.waits), OK);
    return !chance(5);
}

static void requeue(struct copy *copy)
{
    copy->place = QUEUED;
    copy->facts.redelivered = true;
    if (copy->facts.deliveries < 5)
        copy->facts.deliveries++;
}

/* ---- what must hold ---- */

static void check_run(struct truth *truth, const struct seen *seen)
{
    const struct claim_result *result = &seen->result;

    assert_true(result->fence > truth->last_fence);
    truth->last_fence = result->fence + 1;
    for (size_t i = 0; i < MAX_RUNS; i++) {
        const struct run *other = &world.runs[i];

        /* A flush takes the lease with it: then two may run until the older one's record is refused. */
        if (other->active && !other->dead && &world.orders[other->order] == truth)
            assert_true(truth->flushed);
    }
    if (truth->flushed)
        return;
    assert_true(result->generation >= truth->last_generation);
    if (result->generation == truth->last_generation)
        assert_true(result->attempts >= truth->last_attempts);
    truth->last_generation = result->generation;
    truth->last_attempts = result->attempts;
    assert_true(result->generation <= 1 + truth->words);
    for (size_t i = 0; i < LINES; i++) {
        char id[24];

        snprintf(id, sizeof(id), "%d=", (int)i + 11);
        if (truth->finished[i])
            assert_non_null(strstr(seen->finished, id));
    }
}

/* ---- a worker ---- */

static void start_run(struct copy *copy, int index, const struct seen *seen)
{
    for (size_t i = 0; i < MAX_RUNS; i++) {
        if (world.runs[i].active)
            continue;
        copy->place = HELD;
        world.runs[i] = (struct run){true, false, copy->order, index, "", *seen};
        memcpy(world.runs[i].message_id, copy->message_id, sizeof(copy->message_id));
        return;
    }
    fail_msg("too many runs");
}

static void deliver(int index)
{
    struct copy *copy = &world.copies[index];
    struct truth *truth = &world.orders[copy->order];
    struct seen seen;

    if (bench_now_ms() < copy->not_before_ms)
        return;
    copy->facts.message_id = copy->message_id;
    copy->facts.finished = copy->finished[0] ? copy->finished : NULL;
    seen = bench_claim(&truth->item, copy->facts);
    if (seen.err != OK)
        fail_msg("claim: %s", seen.detail);
    note(copy->order,
         "copy %d (%s%s%s gen %lld att %lld due %lld) -> %s gen %lld att %lld waits %lld now %lld\n", index,
         copy->facts.dead_copy  ? "dead "
         : copy->facts.resubmit ? "resubmit "
                                : "",
         copy->facts.redelivered ? "again " : "", copy->message_id, (long long)copy->facts.generation,
         (long long)copy->facts.attempts, (long long)copy->facts.due_ms,
         bench_verdict_name(seen.result.verdict), (long long)seen.result.generation,
         (long long)seen.result.attempts, (long long)seen.result.waits, (long long)seen.result.now_ms);
    switch (seen.result.verdict) {
    case CLAIM_RUN:
    case CLAIM_CRASHED:
        check_run(truth, &seen);
        start_run(copy, index, &seen);
        return;
    case CLAIM_EARLY:
        copy->not_before_ms = seen.result.now_ms + seen.result.wait_ms;
        copy->facts.redelivered = true; /* back through the retry queues */
        copy->facts.deliveries = 0;
        return;
    case CLAIM_BUSY:
        copy->facts.redelivered = true;
        copy->facts.deliveries = 0;
        return;
    case CLAIM_SOLO:
        copy->facts.solo = true;
        copy->facts.redelivered = true;
        copy->facts.deliveries = 0;
        return;
    case CLAIM_REPEAT:
        copy->place = HELD;
        if (publish_step(copy->order, copy->message_id, seen.decision))
            copy->place = GONE;
        else
            requeue(copy);
        return;
    case CLAIM_DONE:
    case CLAIM_STALE:
    case CLAIM_IGNORED:
        copy->place = GONE;
        return;
    }
}

static void lose_delivery(struct run *run)
{
    if (run->copy != NO_COPY) {
        note(run->order, "copy %d is lost and comes again\n", run->copy);
        requeue(&world.copies[run->copy]);
        run->copy = NO_COPY;
    }
}

/* Runs the lines, each of which fails or not; lines that were finished stay so. */
static struct outcome run_lines(struct run *run, char *letters, char *decision, size_t size)
{
    struct claim_result *result = &run->seen.result;
    struct outcome outcome = {.finished = letters, .decision = decision};
    struct step step = {.generation = result->generation, .waits = result->waits};
    size_t length = 0, open = 0;

    for (size_t i = 0; i < LINES; i++) {
        char id[24];

        snprintf(id, sizeof(id), "%d=", (int)i + 11);
        letters[i] =
            strstr(run->seen.finished, id) || (result->verdict != CLAIM_CRASHED && !chance(60)) ? 'c' : '-';
        open += letters[i] == '-';
        if (letters[i] == 'c')
            length +=
                (size_t)snprintf(step.finished + length, sizeof(step.finished) - length,
                                 "%s{\"id\":%d,\"state\":\"complete\"}", length ? "," : "[", (int)i + 11);
    }
    snprintf(step.finished + length, sizeof(step.finished) - length, "%s", length ? "]" : "[]");
    letters[LINES] = '\0';
    step.attempts = outcome.attempts = result->attempts + 1;
    if (open == 0) {
        outcome.state = RECORD_DONE;
        step.kind = 'c';
    } else if (result->verdict == CLAIM_CRASHED || outcome.attempts >= 4) {
        outcome.state = RECORD_DEAD;
        step.kind = 'd';
    } else {
        outcome.state = RECORD_WAIT;
        step.kind = 'r';
        if (chance(30)) {
            step.attempts = outcome.attempts = result->attempts;
            step.waits++;
        }
        step.due_ms = outcome.due_ms = result->now_ms + 1 + roll(4);
    }
    outcome.waits = step.waits;
    snprintf(decision, size, "%c %lld %lld %lld %lld %s", step.kind, step.generation, step.attempts,
             step.waits, step.due_ms, step.finished);
    return outcome;
}

static void end_run(struct run *run)
{
    struct truth *truth = &world.orders[run->order];
    char letters[LINES + 1], decision[400];
    struct outcome outcome = run_lines(run, letters, decision, sizeof(decision));
    enum err err;

    outcome.message_id = run->message_id;
    err = bench_record(&truth->item, &run->seen, outcome);
    note(run->order, "record %s: %s\n", decision, err_name(err));
    run->active = false;
    if (err == ERR_FENCED) {
        assert_true(truth->flushed); /* its holder lives, so only a flush can have lost the lease */
        lose_delivery(run);
        return;
    }
    assert_int_equal(err, OK);
    for (size_t i = 0; i < LINES; i++)
        truth->finished[i] = truth->finished[i] || letters[i] == 'c';
    truth->done = truth->done || outcome.state == RECORD_DONE;
    if (chance(8) || !publish_step(run->order, run->message_id, decision))
        lose_delivery(run);
    else if (run->copy != NO_COPY)
        world.copies[run->copy].place = GONE;
}

/* ---- faults ---- */

static void crash(struct run *run)
{
    lose_delivery(run);
    run->dead = true;
}

static void end_dead_lease(struct run *run)
{
    struct truth *truth = &world.orders[run->order];
    char fence[32];

    run->active = false;
    snprintf(fence, sizeof(fence), "%lld", (long long)run->seen.result.fence);
    if (strcmp(REDIS("HGET", bench_order_key(&truth->item), "fence"), fence) == 0 &&
        strcmp(REDIS("HGET", bench_order_key(&truth->item), "lease_until"), "0") != 0)
        bench_end_lease(&truth->item);
}

static void flush(void)
{
    REDIS("FLUSHALL");
    for (size_t i = 0; i < ORDERS; i++) {
        world.orders[i].flushed = true;
        world.orders[i].done = false;
    }
    for (size_t i = 0; i < MAX_RUNS; i++) {
        const struct run *run = &world.runs[i];

        if (run->active && !run->dead && roll(2))
            (void)bench_renew(&world.orders[run->order].item, run->seen.result.fence);
    }
}

static void say_a_word(size_t order)
{
    struct truth *truth = &world.orders[order];
    char message_id[24];

    truth->words++;
    snprintf(message_id, sizeof(message_id), "w%d", world.serial++);
    if (truth->dead_copies > 0 && roll(2)) {
        truth->dead_copies--;
        new_copy(order, message_id,
                 (struct copy_facts){
                     .generation = truth->dead_generation, .attempts = 4, .first_ms = 1, .dead_copy = true});
    } else {
        new_copy(order, message_id, (struct copy_facts){.resubmit = true});
    }
}

static void strip(struct copy *copy)
{
    if (copy->facts.dead_copy || copy->facts.resubmit)
        return;
    note(copy->order, "copy %d is stripped\n", (int)(copy - world.copies));
    copy->facts = (struct copy_facts){.solo = copy->facts.solo};
    copy->finished[0] = '\0';
}

static void fault_somewhere(void)
{
    struct copy *copy = &world.copies[roll(MAX_COPIES)];
    struct run *run = &world.runs[roll(MAX_RUNS / 8)];

    if (run->active && run->dead)
        end_dead_lease(run);
    else if (run->active && chance(30))
        crash(run);
    else if (run->active && chance(10))
        lose_delivery(run); /* its connection broke; it goes on */
    if (copy->place == QUEUED && chance(5))
        new_copy(copy->order, copy->message_id, copy->facts);
    if (copy->place == QUEUED && world.may_strip && chance(10))
        strip(copy);
    if (chance(2))
        say_a_word(roll(ORDERS));
    if (world.may_flush && chance(1))
        flush();
}

/* ---- the story ---- */

static uint64_t now_playing;

static void begin(uint64_t seed, bool may_flush, bool may_strip)
{
    static const char *const numbers[ORDERS] = {"M-0", "M-1", "M-2", "M-3", "M-4", "M-5"};

    now_playing = seed;
    REDIS("FLUSHALL");
    memset(&world, 0, sizeof(world));
    world.random = seed;
    world.may_flush = may_flush;
    world.may_strip = may_strip;
    for (size_t i = 0; i < ORDERS; i++) {
        bench_item(&world.orders[i].item, numbers[i], ORDER_FULFILL, NULL, 11, LINES);
        new_copy(i, "m1", (struct copy_facts){0});
    }
}

/* Delivers or ends one thing. False: there is nothing left. */
static bool step_once(void)
{
    size_t start = roll(MAX_COPIES + MAX_RUNS);

    for (size_t i = 0; i < MAX_COPIES + MAX_RUNS; i++) {
        size_t at = (start + i) % (MAX_COPIES + MAX_RUNS);

        if (at < MAX_COPIES && world.copies[at].place == QUEUED) {
            deliver((int)at);
            return true;
        }
        if (at >= MAX_COPIES && world.runs[at - MAX_COPIES].active) {
            struct run *run = &world.runs[at - MAX_COPIES];

            if (run->dead)
                end_dead_lease(run);
            else
                end_run(run);
            return true;
        }
    }
    return false;
}

static void play(uint64_t seed, bool may_flush, bool may_strip)
{
    size_t steps = 0;

    begin(seed, may_flush, may_strip);
    for (size_t i = 0; i < STEPS; i++) {
        fault_somewhere();
        step_once();
    }
    world.calm = true;
    while (step_once()) {
        if (++steps > DRAIN_STEPS)
            fail_msg("copies of seed %llu circle for ever", (unsigned long long)seed);
    }
    for (size_t i = 0; i < ORDERS; i++) {
        const struct truth *truth = &world.orders[i];
        bool all = true;

        for (size_t line = 0; line < LINES; line++)
            all = all && truth->finished[line];
        if (!truth->done && !(all && truth->flushed) && truth->dead_copies == 0) {
            print_message("%s", truth->story);
            fail_msg("seed %llu lost order %zu", (unsigned long long)seed, i);
        }
    }
}

static int tell_seed(void **state)
{
    (void)state;
    print_message("the last seed was %llu\n", (unsigned long long)now_playing);
    return 0;
}

static uint64_t seeds[ROUNDS];

static void play_all(bool may_flush, bool may_strip)
{
    for (size_t i = 0; i < ROUNDS; i++)
        play(seeds[i], may_flush, may_strip);
}

static void test_crashes_duplicates_and_words_lose_and_double_nothing(void **state)
{
    (void)state;
    play_all(false, false);
}

static void test_flushes_lose_nothing(void **state)
{
    (void)state;
    play_all(true, false);
}

static void test_stripped_headers_lose_and_double_nothing(void **state)
{
    (void)state;
    play_all(false, true);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_empty, tell_seed)
    const struct CMUnitTest tests[] = {
        TEST(test_crashes_duplicates_and_words_lose_and_double_nothing),
        TEST(test_flushes_lose_nothing),
        TEST(test_stripped_headers_lose_and_double_nothing),
    };

    for (size_t i = 0; i < ROUNDS; i++)
        seeds[i] = argc > 1 ? strtoull(argv[1], NULL, 10) : i + 1;
    return cmocka_run_group_tests(tests, bench_open, bench_close);
}
