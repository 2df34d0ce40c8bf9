/* cmd_logs.c - triarch logs: what tasks wrote.
 *
 * One task's log is shown as it is.  Several are read one after the other, or with -f all at
 * once; then each line has its task before it.
 */
#include "client/attempt_find.h"
#include "client/log_lines.h"
#include "client/log_reader.h"
#include "client/session.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct option_row rows[] = {
    {.name = "follow",
     .letter = 'f',
     .kind = OPTION_FLAG,
     .help = "go on until the task has ended and all was read"},
    {.name = "stderr",
     .kind = OPTION_FLAG,
     .help = "what it wrote to standard error instead of standard output"},
    {.name = "both",
     .kind = OPTION_FLAG,
     .help =
         "standard output and standard error, with the name of it before each line"},
    {.name = "tail",
     .letter = 'n',
     .kind = OPTION_NUMBER,
     .argument = "N",
     .help = "begin with the last N lines, as far as they are in the last 8 MiB"},
    {.name = "since",
     .kind = OPTION_TEXT,
     .argument = "TIME",
     .help = "begin with what was written since TIME: 10m ago, or at "
             "2026-01-31T12:00:00Z; to a second"},
    {.name = "raw",
     .kind = OPTION_FLAG,
     .help = "on a terminal, all that the task wrote and not only its colours"},
    ATTEMPT_OPTIONS,
};

struct log {
    struct logs *logs;
    uint64_t job;
    uint32_t instance;
    const char *file;
    struct task_place earlier; /* attempt 0: it is the newest that is read */
    bool missing;              /* nobody has that */
    struct log_reader *reader; /* NULL: not begun */
    struct log_lines lines;
    uint64_t newlines; /* shown */
};

struct logs {
    struct session *session;
    struct log *list;
    size_t count, capacity;
    char where[64]; /* parameters of the first GET */
    size_t next;    /* to be begun */
    size_t going;
    size_t failed;
    struct error failure; /* the last one */
    bool interrupted;
};

/* ---- which tasks ---- */

static int add_file(struct logs *l,
                    uint64_t job,
                    uint32_t instance,
                    const char *file,
                    struct error *err)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->list[i].job == job && l->list[i].instance == instance &&
            strcmp(l->list[i].file, file) == 0)
            return 0;
    if (l->count == LIMIT_LOGS_AT_ONCE)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "more than %d logs: name those that you mean, as "
                         "%" PRIu64 ".0 %" PRIu64 ".1",
                         LIMIT_LOGS_AT_ONCE,
                         job,
                         job);
    MEM_GROW(l->list, l->capacity, l->count + 1);
    l->list[l->count++] =
        (struct log){.logs = l, .job = job, .instance = instance, .file = file};
    return 0;
}

static int add(struct logs *l, uint64_t job, uint32_t instance, struct error *err)
{
    const struct options *o = l->session->options;
    bool both = options_flag(o, "both"), only_stderr = options_flag(o, "stderr");
    int rc = 0;

    if (both || !only_stderr)
        rc = add_file(l, job, instance, "stdout", err);
    if (rc == 0 && (both || only_stderr))
        rc = add_file(l, job, instance, "stderr", err);
    return rc;
}

struct of_job {
    struct logs *logs;
    uint64_t job;
    size_t left_out; /* they have not started, or have no such attempt */
};

/* Of an attempt that is named: those that have it. */
static bool is_wanted(const struct logs *l, const struct task_info *task)
{
    const struct options *o = l->session->options;
    uint32_t number;

    if (attempt_is_named(o))
        return attempt_number(o, task->attempt, &number);
    return task->attempt_id != 0 ||
           (options_flag(o, "follow") && !task_state_is_final(task->state));
}

static int add_page(void *user, const struct list_result *page, struct error *err)
{
    struct of_job *of = user;
    struct command_cursor at = {0};
    struct task_info task;
    int rc = 0;

    while (rc == 0 && task_info_next(page, &at, &task))
        if (is_wanted(of->logs, &task))
            rc = add(of->logs, of->job, task.instance, err);
        else
            of->left_out++;
    return rc;
}

/* All tasks of a job; one that has only one is that one. */
static int add_job(struct logs *l, uint64_t job, struct error *err)
{
    struct session *s = l->session;
    struct of_job of = {.logs = l, .job = job};
    bool named = attempt_is_named(s->options);
    size_t before = l->count;
    int rc = session_list(s, METHOD_TASKS, job, add_page, &of, err);

    if (rc != 0)
        return rc;
    if (l->count == before && of.left_out == 1)
        return add(l, job, 0, err); /* its reader says why there is nothing */
    if (l->count == before && named)
        return error_set(err,
                         ERROR_NOT_FOUND,
                         "no task of job %" PRIu64 " has had that attempt",
                         job);
    if (l->count == before)
        return error_set(err,
                         ERROR_UNAVAILABLE,
                         "no task of job %" PRIu64
                         " has started: `triarch status "
                         "%" PRIu64 "` says what they wait for",
                         job,
                         job);
    if (of.left_out > 0)
        session_note(s,
                     "%zu tasks of job %" PRIu64 " have %s",
                     of.left_out,
                     job,
                     named ? "had no such attempt" : "not started or never ran");
    return 0;
}

static int add_operand(struct logs *l, const char *text, struct error *err)
{
    uint32_t instance;
    uint64_t job;
    int rc = task_operand(text, "all its tasks", &job, &instance, err);

    if (rc != 0)
        return rc;
    return strchr(text, '.') != NULL ? add(l, job, instance, err)
                                     : add_job(l, job, err);
}

/* ---- where to begin ---- */

static int read_where(struct logs *l, struct error *err)
{
    const struct options *o = l->session->options;
    const char *since = options_text(o, "since");
    uint64_t value;
    struct error why;
    size_t n = 0;

    if (options_given(o, "tail"))
        n = (size_t)snprintf(
            l->where, sizeof(l->where), "&lines=%" PRIu64, options_number(o, "tail"));
    if (since == NULL)
        return 0;
    if (strchr(since, 'T') != NULL && text_parse_time(&value, since, &why) == 0)
        snprintf(l->where + n, sizeof(l->where) - n, "&since=%" PRIu64, value);
    else if (strchr(since, 'T') == NULL &&
             text_parse_duration_ms(&value, since, &why) == 0)
        snprintf(l->where + n, sizeof(l->where) - n, "&ago=%" PRIu64, value);
    else
        return options_refuse(o, "since", err, "%s", why.text);
    return 0;
}

/* ---- earlier attempts ---- */

static int check_attempt(const struct options *o, struct error *err)
{
    if (!attempt_is_named(o))
        return 0;
    if (options_flag(o, "follow"))
        return error_set(err,
                         ERROR_USAGE,
                         "-f follows the newest attempt: leave it out with --attempt "
                         "or --previous");
    return attempt_check(o, err);
}

/* Both logs of a task are with one agent. */
static int
find_earlier(struct logs *l, struct log *log, const struct log *last, struct error *err)
{
    int rc;

    if (last != NULL && !last->missing && last->job == log->job &&
        last->instance == log->instance) {
        log->earlier = last->earlier;
        return 0;
    }
    rc = task_place_of(l->session, log->job, log->instance, &log->earlier, err);
    return rc != 0 ? rc : attempt_find(l->session, &log->earlier, err);
}

static int find_all_earlier(struct logs *l, struct error *err)
{
    struct log *last = NULL;
    int rc = 0;

    for (size_t i = 0; i < l->count; last = &l->list[i++]) {
        rc = find_earlier(l, &l->list[i], last, err);
        if (rc == 0)
            continue;
        if (l->count == 1)
            return rc;
        session_note(l->session, "%s", err->text);
        l->list[i].missing = true;
        l->failed++;
        l->failure = *err;
    }
    return 0;
}

/* ---- reading ---- */

static void begin_more(struct logs *l);

static void on_piece(void *user, struct bytes piece)
{
    struct log *log = user;

    for (size_t i = 0; i < piece.size; i++)
        log->newlines += piece.data[i] == '\n';
    log_lines_add(&log->lines, piece);
}

static void on_note(void *user, const char *text)
{
    struct log *log = user;

    log_lines_end(&log->lines);
    if (log->logs->count > 1)
        session_note(log->logs->session,
                     "%" PRIu64 ".%" PRIu32 ": %s",
                     log->job,
                     log->instance,
                     text);
    else
        session_note(log->logs->session, "%s", text);
}

/* A last line without a newline is one, too. */
static void check_tail(struct log *log)
{
    const struct options *o = log->logs->session->options;

    if (options_given(o, "tail") && !options_given(o, "since") &&
        log_reader_begin(log->reader) > 0 &&
        log->newlines + 1 < options_number(o, "tail"))
        on_note(log,
                "there is more: --tail looks for lines in the last 8 MiB of a log, and "
                "the beginning of a long one is not kept");
}

static void on_ended(void *user, const struct error *reason)
{
    struct log *log = user;
    struct logs *l = log->logs;

    log_lines_end(&log->lines);
    check_tail(log);
    l->going--;
    if (reason->code != ERROR_NONE) {
        l->failed++;
        l->failure = *reason;
        if (l->count > 1)
            on_note(log, reason->text);
    }
    begin_more(l);
    if (l->going == 0)
        loop_stop(l->session->loop);
}

static void begin_more(struct logs *l)
{
    static const struct log_reader_events events = {
        .piece = on_piece, .note = on_note, .ended = on_ended};
    const struct options *o = l->session->options;
    bool follow = options_flag(o, "follow");

    while (l->next < l->count && (follow || l->going == 0)) {
        struct log *log = &l->list[l->next++];
        const struct log_reader_options options = {
            .session = l->session,
            .job = log->job,
            .instance = log->instance,
            .follow = follow,
            .file = log->file,
            .where = l->where,
            .earlier = log->earlier.attempt != 0 ? &log->earlier : NULL,
        };

        if (log->missing)
            continue;
        log->reader = log_reader_create(&options, &events, log);
        l->going++;
    }
}

/* ---- how lines look ---- */

static int name_of(const struct log *log, char *out, size_t size)
{
    bool both = options_flag(log->logs->session->options, "both");

    return snprintf(out,
                    size,
                    "%" PRIu64 ".%" PRIu32 "%s%s",
                    log->job,
                    log->instance,
                    both ? " " : "",
                    both ? log->file : "");
}

static char *prefix_of(const struct log *log, int width)
{
    char name[48], text[64];

    name_of(log, name, sizeof(name));
    snprintf(text, sizeof(text), "%-*s | ", width, name);
    return mem_strdup(text);
}

static void prepare_lines(struct logs *l)
{
    static const enum style styles[] = {STYLE_LIVE, STYLE_WARN, STYLE_GOOD, STYLE_HEAD};
    struct screen *out = &l->session->out;
    bool plain = out->terminal && !options_flag(l->session->options, "raw");
    int width = 0;

    for (size_t i = 0; i < l->count; i++) {
        int w = name_of(&l->list[i], NULL, 0);

        width = w > width ? w : width;
    }
    for (size_t i = 0; i < l->count; i++)
        l->list[i].lines = (struct log_lines){
            .screen = out,
            .plain = plain,
            .prefix = l->count > 1 ? prefix_of(&l->list[i], width) : NULL,
            .style = styles[i % (sizeof(styles) / sizeof(styles[0]))],
        };
}

/* ---- run ---- */

static void on_interrupt(void *user, int signum)
{
    struct logs *l = user;

    (void)signum;
    l->interrupted = true;
    loop_stop(l->session->loop);
}

/* What was held of a line is shown, and the terminal has its own colour again. */
static void end_interrupted(struct logs *l)
{
    for (size_t i = 0; i < l->count; i++)
        log_lines_end(&l->list[i].lines);
    signal(SIGINT, SIG_DFL);
    raise(SIGINT);
}

static int read_all(struct logs *l, struct error *err)
{
    prepare_lines(l);
    loop_on_signal(l->session->loop, SIGINT, on_interrupt, l);
    begin_more(l);
    while (l->going > 0 && !l->interrupted)
        loop_run(l->session->loop);
    if (l->interrupted)
        end_interrupted(l);
    if (l->failed == 0)
        return 0;
    if (l->count == 1)
        return error_set(err, l->failure.code, "%s", l->failure.text);
    return error_set(err,
                     l->failure.code,
                     "%zu of %zu logs could not be read to their end",
                     l->failed,
                     l->count);
}

static int run(struct session *s, struct error *err)
{
    struct logs l = {.session = s};
    size_t operands = options_operand_count(s->options);
    int rc = read_where(&l, err);

    if (rc == 0)
        rc = check_attempt(s->options, err);
    if (rc == 0)
        rc = session_open(s, err);
    for (size_t i = 0; rc == 0 && i < operands; i++)
        rc = add_operand(&l, options_operand(s->options, i), err);
    if (rc == 0 && attempt_is_named(s->options))
        rc = find_all_earlier(&l, err);
    if (rc == 0)
        rc = read_all(&l, err);
    for (size_t i = 0; i < l.count; i++) {
        log_reader_destroy(l.list[i].reader);
        log_lines_finish(&l.list[i].lines);
    }
    mem_free(l.list);
    return rc;
}

const struct subcommand subcommand_logs = {
    .table =
        {
            .program = "logs",
            .meant = "log",
            .purpose = "print what tasks wrote",
            .details =
                "TASK is JOB.INSTANCE, or JOB for all its tasks. Of several tasks "
                "each line has its task before it, and no line is mixed with "
                "another. With -f the log goes on through lost connections, and with "
                "the next attempt if the agent is lost.\n" ATTEMPT_DETAILS "\n"
                "In a pipe the output is what the task wrote, byte for byte. On a "
                "terminal colours pass and other control characters are shown as ^[; "
                "--raw lets them pass as well.",
            .rows = rows,
            .row_count = sizeof(rows) / sizeof(rows[0]),
            .operands = "TASK...",
            .operands_min = 1,
            .operands_max = LIMIT_LOGS_AT_ONCE,
        },
    .run = run,
};
