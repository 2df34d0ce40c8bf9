/* cmd_logs.c - triarch logs: what a task wrote (joint 14).
 *
 * The leader tells the task's attempt and the HTTP address of its agent; the log comes
 * from the agent.  When the connection breaks, the leader is asked again and the log goes
 * on at the byte after the last one seen, or from the start of the next attempt, on
 * another agent perhaps.  An agent that says nothing may have nothing to say, or hang:
 * the leader is asked meanwhile whether the task is still there.
 */
#include "client/http_get.h"
#include "client/session.h"

#include "base/mem.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PAUSE_MS   200  /* before the next look */
#define SILENCE_MS 3000 /* of an agent, then something may be wrong */
#define SAID_MAX   2048 /* bytes of an answer that is not the log */

static const struct option_row rows[] = {
    {.name = "follow",
     .letter = 'f',
     .kind = OPTION_FLAG,
     .help = "go on until the task has ended and all was read"},
    {.name = "stderr",
     .kind = OPTION_FLAG,
     .help = "what it wrote to standard error instead of standard output"},
};

struct logs {
    struct session *session;
    uint64_t job;
    uint32_t instance;
    bool follow;
    uint64_t attempt;  /* whose log is read */
    uint64_t offset;   /* of the next byte of it to be shown */
    uint64_t heard_ms; /* of the last sign of life of its agent */

    /* of one GET */
    struct http_get *get; /* NULL: it is over */
    struct loop_timer silence;
    unsigned status;
    struct error reason;
    struct buffer said;

    struct client_call look; /* at the task, while a GET goes on */
    bool looking;
};

static void on_silence(void *user);

/* ---- the agent ---- */

static void on_body(void *user, unsigned status, uint64_t begin, struct bytes piece)
{
    struct logs *l = user;

    if (status == 200) {
        if (begin > l->offset) {
            session_note(l->session,
                         "the log is long: %" PRIu64 " bytes of it are not kept",
                         begin - l->offset);
            l->offset = begin;
        }
        screen_write_raw(&l->session->out, piece);
        l->offset += piece.size;
        l->heard_ms = loop_now_ms(); /* a slow reader is no silence */
        timer_set_in(l->session->loop, &l->silence, SILENCE_MS, on_silence, l);
    } else if (l->said.size + piece.size <= SAID_MAX) {
        buffer_append(&l->said, piece.data, piece.size);
    }
}

static void on_done(void *user, unsigned status, const struct error *reason)
{
    struct logs *l = user;

    l->get = NULL;
    timer_stop(l->session->loop, &l->silence);
    l->status = status;
    l->reason = *reason;
    if (status == 200 && l->follow)
        l->heard_ms = loop_now_ms();
    loop_stop(l->session->loop);
}

/* ---- an agent that says nothing ---- */

static void give_up(struct logs *l)
{
    unsigned status = http_get_status(l->get);
    struct error reason;

    error_set(&reason, ERROR_TIMEOUT, "it says nothing for %d s", SILENCE_MS / 1000);
    http_get_cancel(l->get);
    on_done(l, status, &reason);
}

/* Nothing more is to come from this attempt. */
static bool is_over(const struct logs *l, struct bytes result)
{
    struct command_cursor at = {0};
    struct list_result page;
    struct task_info task;

    return list_result_unpack(&page, METHOD_TASKS, result, NULL) == 0 &&
           task_info_next(&page, &at, &task) &&
           (task.attempt_id != l->attempt || task_state_is_final(task.state));
}

/* Masters that are away say nothing about the log. */
static void on_looked(void *user, const struct client_answer *answer)
{
    struct logs *l = user;

    l->looking = false;
    if (l->get == NULL)
        return;
    if (answer->code == ERROR_NONE && is_over(l, answer->result))
        give_up(l);
    else
        timer_set_in(l->session->loop, &l->silence, SILENCE_MS, on_silence, l);
}

static void on_silence(void *user)
{
    struct logs *l = user;
    struct list_request request = {.of = l->job, .after = l->instance, .limit = 1};
    struct buffer frame = {0};

    if (!l->follow || http_get_status(l->get) != 200) {
        give_up(l);
        return;
    }
    if (l->looking)
        return;
    l->looking = true;
    l->look = (struct client_call){.done = on_looked, .user = l};
    list_pack(METHOD_TASKS, &request, 0, &frame);
    client_request(l->session->client, &l->look, buffer_view(&frame), CLIENT_LEADER);
    buffer_finish(&frame);
}

/* ---- one GET ---- */

/* One GET to its end; l->status and l->reason tell how it went. */
static int get(struct logs *l, const struct task_info *task, struct error *err)
{
    static const struct http_get_events events = {.body = on_body, .done = on_done};
    const char *file =
        options_flag(l->session->options, "stderr") ? "stderr" : "stdout";
    char *where = text_copy(task->agent_http);
    struct address address;
    char path[128];
    int rc = address_parse(&address, where, err);

    mem_free(where);
    if (rc < 0)
        return error_set(err,
                         ERROR_UNAVAILABLE,
                         "agent %" PRIu64
                         " has no address for logs: start it with "
                         "--http ADDR:PORT",
                         task->agent_id);
    snprintf(path,
             sizeof(path),
             "/tasks/%" PRIu64 "/%s?offset=%" PRIu64 "%s",
             task->attempt_id,
             file,
             l->offset,
             l->follow ? "&follow=1" : "");
    buffer_clear(&l->said);
    l->get = http_get(l->session->loop, &address, path, &events, l);
    timer_set_in(l->session->loop, &l->silence, SILENCE_MS, on_silence, l);
    while (l->get != NULL)
        loop_run(l->session->loop);
    return 0;
}

/* ---- what to do next ---- */

static void on_pause_over(void *user)
{
    struct session *s = user;

    loop_stop(s->loop);
}

static void rest(struct session *s)
{
    struct loop_timer timer = {0};

    timer_set_in(s->loop, &timer, PAUSE_MS, on_pause_over, s);
    while (timer.armed)
        loop_run(s->loop);
}

static void begin_attempt(struct logs *l, const struct task_info *task)
{
    if (l->attempt != 0)
        session_note(l->session,
                     "attempt %" PRIu32 " of task %" PRIu64 ".%" PRIu32
                     " runs on agent %" PRIu64,
                     task->attempt,
                     l->job,
                     l->instance,
                     task->agent_id);
    l->attempt = task->attempt_id;
    l->offset = 0;
    l->heard_ms = loop_now_ms();
}

static int not_started(const struct logs *l, struct error *err)
{
    return error_set(err,
                     ERROR_UNAVAILABLE,
                     "task %" PRIu64 ".%" PRIu32
                     " has not started: -f waits for it, `triarch status %" PRIu64
                     "` says what it waits for",
                     l->job,
                     l->instance,
                     l->job);
}

static int lost(const struct logs *l, const struct task_info *task, struct error *err)
{
    if (l->reason.code != ERROR_NONE)
        return error_set(err,
                         ERROR_UNAVAILABLE,
                         "agent %" PRIu64 " does not give the log: %s",
                         task->agent_id,
                         l->reason.text);
    return error_set(err,
                     l->status == 404 ? ERROR_NOT_FOUND : ERROR_UNAVAILABLE,
                     "agent %" PRIu64 " has no such log of attempt %" PRIu64
                     " (status %u): %.*s",
                     task->agent_id,
                     task->attempt_id,
                     l->status,
                     (int)l->said.size,
                     (const char *)l->said.data);
}

enum next { GO_ON, END };

/* After a GET: 0 with *next, or a negative error. */
static int
judge(struct logs *l, const struct task_info *task, enum next *next, struct error *err)
{
    uint64_t patience_ms =
        l->follow ? options_duration_ms(l->session->options, "timeout") : PAUSE_MS;
    bool whole = l->reason.code == ERROR_NONE && (l->status == 200 || l->status == 416);

    *next = GO_ON;
    if (whole && (!l->follow || task_state_is_final(task->state))) {
        *next = END;
        return 0;
    }
    /* A task that waits for its next attempt is waited for, however long. */
    if (whole || (l->follow && task->state == TASK_PENDING)) {
        l->heard_ms = loop_now_ms();
        return 0;
    }
    if (l->status == 404 && task_state_is_final(task->state))
        return lost(l, task, err);
    /* A log that is not there yet, or an agent that is away for a moment. */
    if (loop_now_ms() < l->heard_ms + patience_ms)
        return 0;
    return lost(l, task, err);
}

/* One look at the task, and one at its log. */
static int look(struct logs *l, enum next *next, struct error *err)
{
    struct buffer page = {0};
    struct task_info task;
    int rc = session_task(l->session, l->job, l->instance, &page, &task, err);

    *next = GO_ON;
    if (rc != 0 && l->follow && l->attempt != 0 && session_is_passing(err->code)) {
        session_note(l->session, "still waiting: %s", err->text);
        l->heard_ms = loop_now_ms(); /* the agent was not asked meanwhile */
        rc = 0;
        goto out;
    }
    if (rc == 0 && task.attempt_id == 0 && task_state_is_final(task.state))
        rc = error_set(err,
                       ERROR_NOT_FOUND,
                       "task %" PRIu64 ".%" PRIu32 " never ran: it wrote nothing",
                       l->job,
                       l->instance);
    else if (rc == 0 && task.attempt_id == 0 && !l->follow)
        rc = not_started(l, err);
    if (rc == 0 && task.attempt_id != 0) {
        if (task.attempt_id != l->attempt)
            begin_attempt(l, &task);
        rc = get(l, &task, err);
        if (rc == 0)
            rc = judge(l, &task, next, err);
    }
out:
    buffer_finish(&page);
    return rc;
}

static int run(struct session *s, struct error *err)
{
    const char *text = options_operand(s->options, 0);
    struct logs l = {.session = s, .follow = options_flag(s->options, "follow")};
    enum next next = GO_ON;
    int rc;

    if (!task_name_parse(text, &l.job, &l.instance))
        return error_set(err,
                         ERROR_USAGE,
                         "\"%.64s\" is not a task: write JOB.INSTANCE, as 17.3, or JOB "
                         "for its first task",
                         text);
    rc = session_open(s, err);
    while (rc == 0 && next != END) {
        rc = look(&l, &next, err);
        if (rc == 0 && next != END)
            rest(s);
    }
    buffer_finish(&l.said);
    return rc;
}

const struct subcommand subcommand_logs = {
    .table =
        {
            .program = "logs",
            .purpose = "print what a task wrote",
            .details = "TASK is JOB.INSTANCE, or JOB for its first task. With -f the "
                       "log goes on through lost connections, and with the next "
                       "attempt if the agent is lost.",
            .rows = rows,
            .row_count = sizeof(rows) / sizeof(rows[0]),
            .operands = "TASK",
            .operands_min = 1,
            .operands_max = 1,
        },
    .run = run,
};
