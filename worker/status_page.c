/*
 * The three pages of the supervisor. The words and notes that workers leave in the shared memory are put
 * together here; nothing is asked of anybody. Called by supervisor.c.
 */
#include "worker/status_page.h"

#include "common/metrics.h"
#include "worker/readiness.h"
#include "worker/shared.h"

#include <string.h>

/* The upstreams' state as the first worker that has one knows it. */
static void describe_upstreams(struct text *body, const struct slot *slots, size_t slot_count)
{
    char note[SHARED_NOTE_BYTES];

    for (size_t i = 0; i < slot_count; i++) {
        shared_note_of((size_t)slots[i].index, note);
        if (note[0]) {
            text_printf(body, "upstreams:\n%s", note);
            return;
        }
    }
}

static void answer_ready(const struct slot *slots, size_t slot_count, bool stopping,
                         struct http_listen_answer *answer)
{
    size_t ready = 0;

    for (size_t i = 0; i < slot_count; i++)
        ready += !slots[i].solo && readiness_of(&slots[i]);
    answer->status = ready > 0 && !stopping ? 200 : 503;
    text_printf(&answer->body, "%s\n", stopping ? "stopping" : ready > 0 ? "ready" : "not ready");
    for (size_t i = 0; i < slot_count; i++)
        readiness_describe(&answer->body, &slots[i]);
    describe_upstreams(&answer->body, slots, slot_count);
}

void status_page_answer(const char *path, const struct slot *slots, size_t slot_count, bool stopping,
                        struct http_listen_answer *answer)
{
    if (strcmp(path, "/metrics") == 0) {
        answer->status = 200;
        answer->content_type = "text/plain; version=0.0.4; charset=utf-8";
        metrics_render(&answer->body);
    } else if (strcmp(path, "/healthz") == 0) {
        answer->status = 200;
        text_printf(&answer->body, "alive\n");
    } else if (strcmp(path, "/readyz") == 0) {
        answer_ready(slots, slot_count, stopping, answer);
    }
}
