/* cmd_failures.c - triarch failures: what went wrong, what was done, when it was well again. */
#include "client/agent_find.h"
#include "client/session.h"
#include "client/table.h"

#include "base/clock.h"
#include "base/text.h"
#include "wire/json.h"
#include "wire/message_failure.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct option_row rows[] = {
    {.name = "json", .kind = OPTION_FLAG, .help = "as JSON"},
    {.name = "sum",
     .kind = OPTION_FLAG,
     .help =
         "how many there were of each type, and how long it took until all was well"},
    {.name = "job",
     .kind = OPTION_NUMBER,
     .argument = "JOB",
     .min = 1,
     .max = INT64_MAX,
     .help = "only those of tasks of JOB"},
    {.name = "agent",
     .kind = OPTION_TEXT,
     .argument = "AGENT",
     .help = "only those of AGENT, of tasks there, and of tasks that went on there"},
    {.name = "type",
     .kind = OPTION_TEXT,
     .argument = "TYPE",
     .help = "only those of TYPE, as it is shown: memory-limit, unreachable"},
    {.name = "since",
     .kind = OPTION_DURATION,
     .argument = "TIME",
     .max = 366ull * 24 * 3600 * 1000,
     .help = "only those of the last TIME: 1h, 7d"},
    {.name = "last",
     .letter = 'n',
     .kind = OPTION_NUMBER,
     .argument = "N",
     .fallback = "50",
     .max = INT32_MAX,
     .help = "at most N, the newest; 0 lists all that are remembered"},
};

/* ---- which ones ---- */

static int take_type(struct session *s, struct list_request *r, struct error *err)
{
    const char *name = options_text(s->options, "type");
    struct text_nearest meant = {.word = name};
    char names[TASK_REASON_COUNT][FAILURE_TYPE_MAX];
    struct failure_type type;

    if (name == NULL)
        return 0;
    if (failure_type_parse(&type, name)) {
        r->type = failure_type_number(type);
        return 0;
    }
    for (int i = 0; i < TASK_REASON_COUNT; i++) {
        failure_type_name(names[i], (struct failure_type){false, (enum task_reason)i});
        text_nearest_offer(&meant, names[i]);
    }
    return options_refuse(s->options,
                          "type",
                          err,
                          "there is no such type; `triarch failures --sum` lists those "
                          "that there were%s%s",
                          meant.best == NULL ? "" : ". Did you mean ",
                          meant.best == NULL ? "" : meant.best);
}

static int take_request(struct session *s, struct list_request *r, struct error *err)
{
    const char *name = options_text(s->options, "agent");
    uint64_t now_us = clock_wall_us();
    struct found_agent agent;
    int rc = take_type(s, r, err);

    if (options_given(s->options, "job"))
        r->of = options_number(s->options, "job");
    if (options_given(s->options, "since"))
        r->since_us = now_us - options_duration_ms(s->options, "since") * 1000;
    if (rc == 0)
        rc = session_open(s, err);
    if (rc != 0 || name == NULL)
        return rc;
    rc = agent_find(s, name, &agent, err);
    r->agent = agent.id;
    return rc;
}

static bool has_filter(const struct list_request *r)
{
    return r->of != 0 || r->agent != 0 || r->type != 0 || r->since_us != 0;
}

/* What a job leaves when it is purged is remembered; that of one that never was is nothing. */
static int check_job(struct session *s,
                     const struct list_request *r,
                     bool any,
                     struct error *err)
{
    struct buffer page = {0};
    struct job_summary job;
    int rc = r->of == 0 ? 0 : session_job(s, r->of, &page, &job, err);

    buffer_finish(&page);
    if (rc != -(int)ERROR_NOT_FOUND || !any)
        return rc;
    session_note(s,
                 "job %" PRIu64 " was purged; its failures are still remembered",
                 r->of);
    return 0;
}

/* ---- one by one ---- */

struct list {
    uint64_t left; /* that are still wanted */
    bool any;
    json_t *json;  /* or NULL */
    struct table *table;
};

static const struct column columns[] = {
    {"TIME", COLUMN_TEXT},
    {"TYPE", COLUMN_TEXT},
    {"TASK", COLUMN_TEXT},
    {"ATTEMPT", COLUMN_NUMBER},
    {"AGENT", COLUMN_NUMBER},
    {"STATE", COLUMN_TEXT},
    {"DOWN", COLUMN_NUMBER},
    {"DONE", COLUMN_BELOW},
};

static enum style style_of(enum failure_state state)
{
    return state == FAILURE_IS_OPEN        ? STYLE_WARN
           : state == FAILURE_IS_OVER      ? STYLE_BAD
           : state == FAILURE_IS_RECOVERED ? STYLE_GOOD
                                           : STYLE_PLAIN;
}

/* "2026-11-26 14:02:03", of today "14:02:03"; in UTC, as everywhere. */
static void cell_time(struct table *t, uint64_t stamp_us)
{
    char now[TEXT_TIME_MAX], text[TEXT_TIME_MAX];

    text_time(now, clock_wall_us());
    text_time(text, stamp_us);
    if (strncmp(now, text, strlen("2026-11-26")) == 0)
        table_cell(t, STYLE_PLAIN, "%.8s", text + strlen("2026-11-26T"));
    else
        table_cell(t, STYLE_PLAIN, "%.10s %.8s", text, text + strlen("2026-11-26T"));
}

/* How long the task or agent was not well, or is not until now. */
static void cell_down(struct table *t, const struct failure_info *f)
{
    uint64_t now_us = clock_wall_us();
    uint64_t until_us = f->state == FAILURE_IS_OPEN ? now_us : f->recovered_us;
    char text[TEXT_SHORT_MAX];

    if (until_us < f->down_us)
        table_cell(t, STYLE_PLAIN, "%s", "-");
    else
        table_cell(
            t, STYLE_PLAIN, "%s", text_duration(text, (until_us - f->down_us) / 1000));
}

/* "restarted on agent 2", "retried, not before 14:02:03", "3 tasks moved". */
static void cell_done(struct table *t, const struct failure_info *f)
{
    char time[TEXT_TIME_MAX];

    text_time(time, f->retry_us);
    if (f->deed == FAILURE_MOVED)
        table_cell(t,
                   STYLE_PLAIN,
                   "%" PRIu32 " task%s moved",
                   f->moved,
                   f->moved == 1 ? "" : "s");
    else if (f->deed == FAILURE_ENDED)
        table_cell(t, STYLE_PLAIN, "%s", "the task ended");
    else if (f->state == FAILURE_IS_AGAIN)
        table_cell(t, STYLE_PLAIN, "%s, and failed again", failure_deed_name(f->deed));
    else if (f->next_agent != 0)
        table_cell(t,
                   STYLE_PLAIN,
                   "%s on agent %" PRIu64,
                   failure_deed_name(f->deed),
                   f->next_agent);
    else if (f->state == FAILURE_IS_OPEN && f->retry_us != 0)
        table_cell(t,
                   STYLE_PLAIN,
                   "to be %s, not before %.8s",
                   failure_deed_name(f->deed),
                   time + strlen("2026-11-26T"));
    else if (f->state == FAILURE_IS_OPEN && f->deed != FAILURE_RECLAIMED)
        table_cell(t, STYLE_PLAIN, "to be %s", failure_deed_name(f->deed));
    else
        table_cell(t, STYLE_PLAIN, "%s", failure_deed_name(f->deed));
}

static void append_row(struct table *t, const struct failure_info *f)
{
    char type[FAILURE_TYPE_MAX];

    failure_type_name(type, f->type);
    cell_time(t, f->stamp_us);
    table_cell(t, STYLE_PLAIN, "%s", type);
    if (f->type.of_agent) {
        table_cell(t, STYLE_PLAIN, "%s", "-");
        table_cell(t, STYLE_PLAIN, "%s", "-");
    } else {
        table_cell(t, STYLE_PLAIN, "%" PRIu64 ".%" PRIu32, f->job, f->instance);
        table_cell(t, STYLE_PLAIN, "%" PRIu32, f->attempt);
    }
    table_cell(t, STYLE_PLAIN, "%" PRIu64, f->agent);
    table_cell(t, style_of(f->state), "%s", failure_state_name(f->state));
    cell_down(t, f);
    cell_done(t, f);
}

static int append(void *user, const struct list_result *page, struct error *err)
{
    struct list *l = user;
    struct command_cursor at = {0};
    struct failure_info f;

    (void)err;
    while (l->left > 0 && failure_info_next(page, &at, &f)) {
        if (l->json != NULL)
            json_array_append_new(l->json, json_failure(&f));
        else
            append_row(l->table, &f);
        l->left--;
        l->any = true;
    }
    return l->left > 0 ? 0 : SESSION_ENOUGH;
}

static int list(struct session *s, const struct list_request *r, struct error *err)
{
    uint64_t last = options_number(s->options, "last");
    struct list l = {.left = last != 0 ? last : UINT64_MAX};
    int rc;

    if (options_flag(s->options, "json"))
        l.json = json_array();
    else
        l.table = table_create(columns, sizeof(columns) / sizeof(columns[0]));
    rc = session_list_some(s, METHOD_FAILURES, r, append, &l, err);
    if (rc == 0)
        rc = check_job(s, r, l.any, err);
    if (rc == 0 && l.json != NULL)
        session_write_json(s, json_incref(l.json));
    else if (rc == 0)
        table_print(l.table, &s->out);
    if (rc == 0 && l.json == NULL && !l.any)
        session_note(s, has_filter(r) ? "no such failures" : "no failures");
    json_decref(l.json);
    table_destroy(l.table);
    return rc;
}

/* ---- sums ---- */

struct sums {
    bool any;
    struct failure_sum_info of[2][TASK_REASON_COUNT];
};

static int add_sums(void *user, const struct list_result *page, struct error *err)
{
    struct sums *sums = user;
    struct command_cursor at = {0};
    struct failure_sum_info f;

    (void)err;
    while (failure_sum_info_next(page, &at, &f))
        sums->of[f.type.of_agent][f.type.reason] = f;
    sums->any = sums->any || page->count > 0;
    return 0;
}

/* Of those that are remembered and are wanted. */
static int add_up(void *user, const struct list_result *page, struct error *err)
{
    struct sums *sums = user;
    struct command_cursor at = {0};
    struct failure_info f;

    (void)err;
    while (failure_info_next(page, &at, &f)) {
        struct failure_sum_info *sum = &sums->of[f.type.of_agent][f.type.reason];
        uint64_t us = f.recovered_us - f.down_us;

        sum->type = f.type;
        sum->count++;
        sum->open += f.state == FAILURE_IS_OPEN;
        if (f.state != FAILURE_IS_RECOVERED)
            continue;
        sum->recovered++;
        sum->recovery_us += us;
        sum->longest_us = us > sum->longest_us ? us : sum->longest_us;
    }
    sums->any = sums->any || page->count > 0;
    return 0;
}

static const struct column sum_columns[] = {
    {"TYPE", COLUMN_TEXT},
    {"OF", COLUMN_TEXT},
    {"FAILURES", COLUMN_NUMBER},
    {"OPEN", COLUMN_NUMBER},
    {"RECOVERED", COLUMN_NUMBER},
    {"MEAN TIME", COLUMN_NUMBER},
    {"LONGEST", COLUMN_NUMBER},
};

static void append_sum(struct table *t, const struct failure_sum_info *f)
{
    char type[FAILURE_TYPE_MAX], text[TEXT_SHORT_MAX];

    failure_type_name(type, f->type);
    table_cell(t, STYLE_PLAIN, "%s", type);
    table_cell(t, STYLE_PLAIN, "%s", f->type.of_agent ? "agents" : "tasks");
    table_cell(t, STYLE_PLAIN, "%" PRIu64, f->count);
    table_cell(t, f->open > 0 ? STYLE_WARN : STYLE_PLAIN, "%" PRIu64, f->open);
    table_cell(t, STYLE_PLAIN, "%" PRIu64, f->recovered);
    if (f->recovered == 0) {
        table_cell(t, STYLE_PLAIN, "%s", "-");
        table_cell(t, STYLE_PLAIN, "%s", "-");
        return;
    }
    table_cell(t,
               STYLE_PLAIN,
               "%s",
               text_duration(text, f->recovery_us / f->recovered / 1000));
    table_cell(t, STYLE_PLAIN, "%s", text_duration(text, f->longest_us / 1000));
}

static void show_sums(struct session *s, const struct sums *sums)
{
    bool as_json = options_flag(s->options, "json");
    struct table *t =
        table_create(sum_columns, sizeof(sum_columns) / sizeof(sum_columns[0]));
    json_t *json = json_array();

    for (int of_agent = 0; of_agent < 2; of_agent++) {
        for (int r = 0; r < TASK_REASON_COUNT; r++) {
            const struct failure_sum_info *f = &sums->of[of_agent][r];

            if (f->count == 0)
                continue;
            json_array_append_new(json, json_failure_sum(f));
            append_sum(t, f);
        }
    }
    if (as_json)
        session_write_json(s, json_incref(json));
    else
        table_print(t, &s->out);
    if (!as_json && !sums->any)
        session_note(s, "no failures");
    json_decref(json);
    table_destroy(t);
}

static int sum(struct session *s, const struct list_request *r, struct error *err)
{
    struct sums sums = {0};
    int rc = has_filter(r)
                 ? session_list_some(s, METHOD_FAILURES, r, add_up, &sums, err)
                 : session_list(s, METHOD_FAILURE_SUMS, 0, add_sums, &sums, err);

    if (rc == 0)
        rc = check_job(s, r, sums.any, err);
    if (rc == 0)
        show_sums(s, &sums);
    return rc;
}

static int run(struct session *s, struct error *err)
{
    struct list_request request = {0};
    int rc = take_request(s, &request, err);

    if (rc != 0)
        return rc;
    return options_flag(s->options, "sum") ? sum(s, &request, err)
                                           : list(s, &request, err);
}

const struct subcommand subcommand_failures = {
    .table =
        {
            .program = "failures",
            .meant = "events history mttr",
            .purpose = "list what went wrong, and how long it took until it was well",
            .details =
                "A failure is an attempt of a task that did not end well, though "
                "nobody "
                "killed its job, or an agent that was unreachable or is gone. The "
                "newest "
                "are listed first: what was done about it, and how long the task did "
                "not "
                "run (DOWN). A STATE of open is not well yet; recovered is; again "
                "failed "
                "once more before it ran; ended is over, with its task or agent; "
                "killed "
                "is that of a job that was killed meanwhile.\n"
                "--sum tells of each type how many there were since the cluster began, "
                "and the mean time to recover; with other options, of those that are "
                "still remembered (the last 65,536), those of purged jobs too.",
            .rows = rows,
            .row_count = sizeof(rows) / sizeof(rows[0]),
        },
    .run = run,
};
