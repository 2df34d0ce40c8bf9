/* task_http.c - what the agent that has a task tells of it over HTTP. */
#include "client/task_http.h"

#include "client/http_get.h"

#include "base/mem.h"
#include "base/text.h"

#include <inttypes.h>
#include <string.h>

#define SAID_MAX 4096 /* bytes of an answer that is an error */

/* ---- where ---- */

int task_place_of(struct session *s,
                  uint64_t job,
                  uint32_t instance,
                  struct task_place *out,
                  struct error *err)
{
    struct buffer page = {0};
    struct task_info task;
    char *where;
    int rc = session_task(s, job, instance, &page, &task, err);

    if (rc != 0)
        goto out;
    if (task.attempt_id == 0) {
        rc = error_set(err,
                       ERROR_UNAVAILABLE,
                       "task %" PRIu64 ".%" PRIu32
                       " has not started: it has no files yet; `triarch status "
                       "%" PRIu64 "` says what it waits for",
                       job,
                       instance,
                       job);
        goto out;
    }
    *out = (struct task_place){
        .job = job,
        .instance = instance,
        .number = task.attempt,
        .attempt = task.attempt_id,
        .agent = task.agent_id,
    };
    where = text_copy(task.agent_http);
    rc = address_parse(&out->address, where, err);
    mem_free(where);
    if (rc != 0)
        rc = error_set(err,
                       ERROR_UNAVAILABLE,
                       "agent %" PRIu64
                       " has no address for HTTP: start it with --http "
                       "ADDR:PORT",
                       task.agent_id);
out:
    buffer_finish(&page);
    return rc;
}

int task_operand(const char *text,
                 const char *whole,
                 uint64_t *job,
                 uint32_t *instance,
                 struct error *err)
{
    if (task_name_parse(text, job, instance))
        return 0;
    return error_set(
        err,
        ERROR_USAGE,
        "\"%.64s\" is not a task: write JOB.INSTANCE, as 17.3, or JOB for %s",
        text,
        whole);
}

int task_place_find(struct session *s,
                    const char *text,
                    struct task_place *out,
                    struct error *err)
{
    uint32_t instance;
    uint64_t job;
    int rc = task_operand(text, "its first task", &job, &instance, err);

    return rc != 0 ? rc : task_place_of(s, job, instance, out, err);
}

/* ---- one GET ---- */

struct getting {
    struct session *session;
    struct http_get *get; /* NULL: it is over */
    struct loop_timer silence;
    uint64_t patience_ms;
    uint64_t silence_ms; /* then it is given up */
    void (*piece)(void *user, struct bytes piece);
    void *user;
    unsigned status;
    struct error reason;
    struct buffer said;
};

static void on_silence(void *user)
{
    struct getting *g = user;
    char time[TEXT_SHORT_MAX];

    error_set(&g->reason,
              ERROR_TIMEOUT,
              "it says nothing for %s",
              text_duration(time, g->silence_ms));
    http_get_cancel(g->get);
    g->get = NULL;
    loop_stop(g->session->loop);
}

/* Before there is an answer it may hang; after that its disk may be slow. */
static void be_patient(struct getting *g)
{
    bool answers = http_get_status(g->get) != 0;

    g->silence_ms =
        answers || g->patience_ms < HTTP_SILENCE_MS ? g->patience_ms : HTTP_SILENCE_MS;
    timer_set_in(g->session->loop, &g->silence, g->silence_ms, on_silence, g);
}

static void on_body(void *user, unsigned status, uint64_t begin, struct bytes piece)
{
    struct getting *g = user;

    (void)begin;
    if (status == 200)
        g->piece(g->user, piece);
    else if (g->said.size + piece.size <= SAID_MAX)
        buffer_append(&g->said, piece.data, piece.size);
    be_patient(g);
}

static void on_done(void *user, unsigned status, const struct error *reason)
{
    struct getting *g = user;

    g->get = NULL;
    g->status = status;
    g->reason = *reason;
    timer_stop(g->session->loop, &g->silence);
    loop_stop(g->session->loop);
}

int task_http_get(struct session *s,
                  const struct task_place *place,
                  const char *path,
                  void (*piece)(void *user, struct bytes piece),
                  void *user,
                  struct error *err)
{
    static const struct http_get_events events = {.body = on_body, .done = on_done};
    struct getting g = {.session = s, .piece = piece, .user = user};
    struct buffer where = {0};
    int rc = 0;

    g.patience_ms = options_duration_ms(s->options, "timeout");
    buffer_printf(&where, "/tasks/%" PRIu64 "/%s", place->attempt, path);
    buffer_append_u8(&where, 0);
    g.get = http_get(s->loop, &place->address, (const char *)where.data, &events, &g);
    be_patient(&g);
    while (g.get != NULL)
        loop_run(s->loop);
    if (g.reason.code != ERROR_NONE)
        rc = error_set(err,
                       ERROR_UNAVAILABLE,
                       "agent %" PRIu64 " does not answer: %s",
                       place->agent,
                       g.reason.text);
    else if (g.status != 200)
        rc = task_http_refused(err,
                               place->job,
                               place->instance,
                               place->agent,
                               g.status,
                               buffer_view(&g.said));
    buffer_finish(&where);
    buffer_finish(&g.said);
    return rc;
}

/* ---- answers ---- */

int task_http_refused(struct error *err,
                      uint64_t job,
                      uint32_t instance,
                      uint64_t agent,
                      unsigned status,
                      struct bytes said)
{
    json_t *value = json_loadb((const char *)said.data, said.size, 0, NULL);
    const char *text =
        json_string_value(json_object_get(json_object_get(value, "error"), "message"));
    enum error_code code = status == 404 ? ERROR_NOT_FOUND : ERROR_UNAVAILABLE;
    char said_text[ERROR_TEXT_MAX];

    if (text != NULL)
        snprintf(said_text, sizeof(said_text), ": %s", text);
    else
        snprintf(said_text, sizeof(said_text), " answers with status %u", status);
    json_decref(value);
    return error_set(err,
                     code,
                     "task %" PRIu64 ".%" PRIu32 ", agent %" PRIu64 "%s",
                     job,
                     instance,
                     agent,
                     said_text);
}

struct document {
    struct buffer text;
    size_t max;
    bool too_large;
};

static void gather(void *user, struct bytes piece)
{
    struct document *d = user;

    if (d->text.size + piece.size > d->max)
        d->too_large = true;
    else
        buffer_append(&d->text, piece.data, piece.size);
}

json_t *task_http_get_json(struct session *s,
                           const struct task_place *place,
                           const char *path,
                           size_t max,
                           struct error *err)
{
    struct document d = {.max = max};
    json_t *value = NULL;

    if (task_http_get(s, place, path, gather, &d, err) == 0) {
        if (!d.too_large)
            value = json_loadb((const char *)d.text.data, d.text.size, 0, NULL);
        if (value == NULL)
            error_set(err,
                      ERROR_INVALID,
                      "agent %" PRIu64 " answers with what is not %s",
                      place->agent,
                      d.too_large ? "a short document" : "JSON; update triarch-agent");
    }
    buffer_finish(&d.text);
    return value;
}

void task_http_encode(struct buffer *out, const char *path)
{
    static const char plain[] =
        "/-._~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

    for (; *path != '\0'; path++)
        if (strchr(plain, *path) != NULL)
            buffer_append_u8(out, (uint8_t)*path);
        else
            buffer_printf(out, "%%%02X", (unsigned char)*path);
}
