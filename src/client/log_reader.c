/* log_reader.c - one task's log, read to its end, or followed. */
#include "client/log_reader.h"

#include "client/http_get.h"

#include "base/mem.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PAUSE_MS     200  /* before the next look; doubled while nothing happens, … */
#define PAUSE_MAX_MS 2000 /* … up to this */
#define SAID_MAX     2048 /* bytes of an answer that is not the log */

/* What is kept of a look at the task. */
struct seen {
    enum task_state state;
    uint32_t number;
    uint64_t attempt, agent;
};

struct log_reader {
    struct log_reader_options options;
    const struct log_reader_events *events;
    void *user;

    uint64_t attempt;  /* whose log is read */
    bool begun;        /* offset is known */
    uint64_t first;    /* of the first byte of it that was shown */
    uint64_t offset;   /* of the next byte of it to be shown */
    uint64_t heard_ms; /* of the last sign of life of its agent */
    bool over;         /* its end was told */
    bool pends;        /* it was told that the task has not started */

    struct client_call call; /* a look at the task */
    bool calling;
    struct seen seen;
    struct loop_timer pause;
    uint64_t pause_ms;

    /* of one GET */
    struct http_get *get; /* NULL: none goes on */
    struct loop_timer silence;
    unsigned status;
    struct error reason;
    struct buffer said;
};

static void look(void *user);
static void on_silence(void *user);

static struct loop *loop_of(const struct log_reader *l)
{
    return l->options.session->loop;
}

static void end(struct log_reader *l, const struct error *reason)
{
    l->over = true;
    timer_stop(loop_of(l), &l->pause);
    timer_stop(loop_of(l), &l->silence);
    l->events->ended(l->user, reason);
}

static void note(struct log_reader *l, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void note(struct log_reader *l, const char *format, ...)
{
    char text[ERROR_TEXT_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    l->events->note(l->user, text);
}

static void rest(struct log_reader *l)
{
    timer_set_in(loop_of(l), &l->pause, l->pause_ms, look, l);
    l->pause_ms = l->pause_ms * 2 < PAUSE_MAX_MS ? l->pause_ms * 2 : PAUSE_MAX_MS;
}

static void ask(struct log_reader *l,
                void (*done)(void *, const struct client_answer *))
{
    struct list_request request = {
        .of = l->options.job, .after = l->options.instance, .limit = 1};
    struct session *s = l->options.session;
    struct buffer frame = {0};

    l->calling = true;
    l->call = (struct client_call){
        .done = done,
        .user = l,
        .timeout_ms = options_duration_ms(s->options, "timeout"),
    };
    list_pack(METHOD_TASKS, &request, 0, &frame);
    client_request(s->client, &l->call, buffer_view(&frame), CLIENT_LEADER);
    buffer_finish(&frame);
}

static int read_task(const struct log_reader *l,
                     const struct client_answer *answer,
                     struct list_result *page,
                     struct task_info *task,
                     struct error *err)
{
    struct command_cursor at = {0};
    int rc;

    if (answer->code != ERROR_NONE)
        return error_set(err, answer->code, "%s", answer->text);
    rc = list_result_unpack(page, METHOD_TASKS, answer->result, err);
    if (rc != 0)
        return rc;
    if (task_info_next(page, &at, task) && task->instance == l->options.instance)
        return 0;
    return error_set(err,
                     ERROR_NOT_FOUND,
                     "there is no task %" PRIu64 ".%" PRIu32
                     "; `triarch status %" PRIu64 " --all` lists the tasks",
                     l->options.job,
                     l->options.instance,
                     l->options.job);
}

/* ---- an agent that says nothing ---- */

static void judge(struct log_reader *l);

static void over_with_get(struct log_reader *l, unsigned status)
{
    l->get = NULL;
    l->status = status;
    timer_stop(loop_of(l), &l->silence);
    judge(l);
}

static void give_up(struct log_reader *l)
{
    unsigned status = http_get_status(l->get);
    char time[TEXT_SHORT_MAX];

    error_set(&l->reason,
              ERROR_TIMEOUT,
              "it says nothing for %s",
              text_duration(time, HTTP_SILENCE_MS));
    http_get_cancel(l->get);
    over_with_get(l, status);
}

static void be_patient(struct log_reader *l)
{
    timer_set_in(loop_of(l), &l->silence, HTTP_SILENCE_MS, on_silence, l);
}

/* Masters that are away say nothing about the log. */
static void on_looked(void *user, const struct client_answer *answer)
{
    struct log_reader *l = user;
    struct list_result page;
    struct task_info task;
    struct error err;

    l->calling = false;
    if (l->over)
        return;
    if (l->get == NULL) { /* it ended meanwhile, and this was waited for */
        rest(l);
        return;
    }
    if (read_task(l, answer, &page, &task, &err) == 0 &&
        (task.attempt_id != l->attempt || task_state_is_final(task.state)))
        give_up(l);
    else
        be_patient(l);
}

static void on_silence(void *user)
{
    struct log_reader *l = user;

    if (!l->options.follow || http_get_status(l->get) != 200)
        give_up(l);
    else if (!l->calling)
        ask(l, on_looked);
}

/* ---- one GET ---- */

static void on_head(void *user, unsigned status, uint64_t begin)
{
    struct log_reader *l = user;

    if (status != 200)
        return;
    if (l->begun && begin > l->offset)
        note(l,
             "the log is long: %" PRIu64 " bytes of it are not kept",
             begin - l->offset);
    if (!l->begun)
        l->first = begin;
    if (!l->begun || begin > l->offset)
        l->offset = begin;
    l->begun = true;
}

static void on_body(void *user, unsigned status, uint64_t begin, struct bytes piece)
{
    struct log_reader *l = user;

    (void)begin;
    if (status == 200) {
        l->offset += piece.size;
        l->pause_ms = PAUSE_MS;
        l->events->piece(l->user, piece);
        l->heard_ms = loop_now_ms(); /* a slow reader is no silence */
        be_patient(l);
    } else if (l->said.size + piece.size <= SAID_MAX) {
        buffer_append(&l->said, piece.data, piece.size);
    }
}

static void on_done(void *user, unsigned status, const struct error *reason)
{
    struct log_reader *l = user;

    l->reason = *reason;
    if (status == 200 && l->options.follow)
        l->heard_ms = loop_now_ms();
    over_with_get(l, status);
}

static void begin_get(struct log_reader *l, const struct address *address)
{
    static const struct http_get_events events = {
        .head = on_head, .body = on_body, .done = on_done};
    char path[192];
    int n;

    n = snprintf(
        path, sizeof(path), "/tasks/%" PRIu64 "/%s?", l->attempt, l->options.file);
    if (l->begun)
        n += snprintf(path + n, sizeof(path) - (size_t)n, "offset=%" PRIu64, l->offset);
    else
        n += snprintf(path + n, sizeof(path) - (size_t)n, "%s", l->options.where + 1);
    snprintf(
        path + n, sizeof(path) - (size_t)n, "%s", l->options.follow ? "&follow=1" : "");
    buffer_clear(&l->said);
    l->get = http_get(loop_of(l), address, path, &events, l);
    be_patient(l);
}

static int ask_agent(struct log_reader *l, struct bytes agent_http, struct error *err)
{
    char *where = text_copy(agent_http);
    struct address address;
    int rc = address_parse(&address, where, err);

    mem_free(where);
    if (rc < 0)
        return error_set(err,
                         ERROR_UNAVAILABLE,
                         "agent %" PRIu64
                         " has no address for logs: start it with "
                         "--http ADDR:PORT",
                         l->seen.agent);
    begin_get(l, &address);
    return 0;
}

/* ---- what to do next ---- */

static int lost(const struct log_reader *l, struct error *err)
{
    if (l->reason.code != ERROR_NONE)
        return error_set(err,
                         ERROR_UNAVAILABLE,
                         "agent %" PRIu64 " does not give the log: %s",
                         l->seen.agent,
                         l->reason.text);
    return task_http_refused(err,
                             l->options.job,
                             l->options.instance,
                             l->seen.agent,
                             l->status,
                             buffer_view(&l->said));
}

/* After a GET. */
static void judge(struct log_reader *l)
{
    const struct session *s = l->options.session;
    bool follow = l->options.follow;
    bool is_final = task_state_is_final(l->seen.state);
    uint64_t patience_ms =
        follow ? options_duration_ms(s->options, "timeout") : PAUSE_MS;
    bool whole = l->reason.code == ERROR_NONE && (l->status == 200 || l->status == 416);
    struct error err = {0};

    if (whole && (!follow || is_final)) {
        end(l, &err);
        return;
    }
    /* A task that waits for its next attempt is waited for, however long. */
    if (whole || (follow && l->seen.state == TASK_PENDING))
        l->heard_ms = loop_now_ms();
    /* Otherwise a log that is not there yet, or an agent that is away for a moment. */
    else if ((l->status == 404 && is_final) ||
             loop_now_ms() >= l->heard_ms + patience_ms) {
        lost(l, &err);
        end(l, &err);
        return;
    }
    if (!l->calling)
        rest(l);
}

static void begin_attempt(struct log_reader *l)
{
    if (l->attempt != 0) {
        note(l,
             "attempt %" PRIu32 " of task %" PRIu64 ".%" PRIu32
             " runs on agent %" PRIu64,
             l->seen.number,
             l->options.job,
             l->options.instance,
             l->seen.agent);
        l->options.where = "";
    }
    l->attempt = l->seen.attempt;
    l->begun = l->options.where[0] == '\0';
    l->first = l->offset = 0;
    l->pause_ms = PAUSE_MS;
    l->heard_ms = loop_now_ms();
}

static int not_there(const struct log_reader *l, struct error *err)
{
    if (task_state_is_final(l->seen.state))
        return error_set(err,
                         ERROR_NOT_FOUND,
                         "task %" PRIu64 ".%" PRIu32 " never ran: it wrote nothing",
                         l->options.job,
                         l->options.instance);
    return error_set(err,
                     ERROR_UNAVAILABLE,
                     "task %" PRIu64 ".%" PRIu32
                     " has not started: -f waits for it, `triarch status %" PRIu64
                     "` says what it waits for",
                     l->options.job,
                     l->options.instance,
                     l->options.job);
}

/* The leader told of the task, or did not. */
static int
take(struct log_reader *l, const struct client_answer *answer, struct error *err)
{
    struct list_result page;
    struct task_info task;
    int rc = read_task(l, answer, &page, &task, err);

    if (rc != 0 && l->options.follow && l->attempt != 0 &&
        session_is_passing(err->code)) {
        note(l, "still waiting: %s", err->text);
        l->heard_ms = loop_now_ms(); /* the agent was not asked meanwhile */
        rest(l);
        return 0;
    }
    if (rc != 0)
        return rc;
    l->seen = (struct seen){.state = task.state,
                            .number = task.attempt,
                            .attempt = task.attempt_id,
                            .agent = task.agent_id};
    if (task.attempt_id == 0 && (!l->options.follow || task_state_is_final(task.state)))
        return not_there(l, err);
    if (task.attempt_id == 0) {
        if (!l->pends)
            note(l,
                 "task %" PRIu64 ".%" PRIu32
                 " has not started; `triarch status %" PRIu64
                 "` says what it waits for",
                 l->options.job,
                 l->options.instance,
                 l->options.job);
        l->pends = true;
        rest(l);
        return 0;
    }
    if (task.attempt_id != l->attempt)
        begin_attempt(l);
    return ask_agent(l, task.agent_http, err);
}

static void on_task(void *user, const struct client_answer *answer)
{
    struct log_reader *l = user;
    struct error err;

    l->calling = false;
    if (take(l, answer, &err) != 0)
        end(l, &err);
}

/* Masters know nothing of it any more. */
static void look_at_earlier(struct log_reader *l)
{
    const struct task_place *p = l->options.earlier;

    l->seen = (struct seen){.state = TASK_LOST,
                            .number = p->number,
                            .attempt = p->attempt,
                            .agent = p->agent};
    if (l->attempt == 0)
        begin_attempt(l);
    begin_get(l, &p->address);
}

static void look(void *user)
{
    struct log_reader *l = user;

    if (l->options.earlier != NULL)
        look_at_earlier(l);
    else
        ask(l, on_task);
}

/* ---- life ---- */

struct log_reader *log_reader_create(const struct log_reader_options *options,
                                     const struct log_reader_events *events,
                                     void *user)
{
    struct log_reader *l = mem_zalloc(sizeof(*l));

    l->options = *options;
    l->events = events;
    l->user = user;
    l->pause_ms = PAUSE_MS;
    timer_set_in(loop_of(l), &l->pause, 0, look, l);
    return l;
}

uint64_t log_reader_begin(const struct log_reader *l)
{
    return l->first;
}

void log_reader_destroy(struct log_reader *l)
{
    if (l == NULL)
        return;
    timer_stop(loop_of(l), &l->pause);
    timer_stop(loop_of(l), &l->silence);
    http_get_cancel(l->get);
    buffer_finish(&l->said);
    mem_free(l);
}
